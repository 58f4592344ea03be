/* c */ static char *s = "\"handler(";
int handler (void) { return '\\''; }

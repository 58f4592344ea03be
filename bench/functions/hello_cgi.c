/* The trivial answer from a CGI program; the bench compiles it to hello.cgi. */

#include <stdio.h>

int main(void)
{
    fputs("Content-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"hello\":\"mayfly\"}\n",
          stdout);
    return 0;
}

#include "cli/templates.h"

#include "base/def.h"

static const char python_handler[] =
    "# Serves /api/@NAME@. Each request runs in a process of its own: what you change here, in\n"
    "# memory, is gone when it has answered. What the module does at import is done once.\n"
    "\n"
    "\n"
    "def handler(event, context):\n"
    "    parameters = event.get(\"queryStringParameters\") or event\n"
    "    name = parameters.get(\"name\") or \"world\"\n"
    "    return {\"statusCode\": 200, \"body\": f\"Hello, {name}!\\n\"}\n";

static const char c_handler[] =
    "/* Serves /api/@NAME@. Each request runs in a process of its own, forked from one in which\n"
    " * mayfly_init(), if there is one, has run: what you change is gone when it has answered. */\n"
    "\n"
    "#include <mayfly.h>\n"
    "\n"
    "int @SYMBOL@(mayfly_request *request, mayfly_response *response)\n"
    "{\n"
    "    const char *name = mayfly_param(request, \"name\");\n"
    "\n"
    "    return mayfly_printf(response, \"Hello, %s!\\n\", name ? name : \"world\");\n"
    "}\n";

static const char exec_handler[] =
    "#!/bin/sh\n"
    "# Serves /api/@NAME@ by CGI: the request in the environment, its body on stdin, the answer "
    "on\n"
    "# stdout: headers, an empty line, the body. Any program in any language will do.\n"
    "printf 'Content-Type: text/plain\\n\\n'\n"
    "printf 'Hello! This is %s %s?%s\\n' \"$REQUEST_METHOD\" \"$SCRIPT_NAME$PATH_INFO\" \\\n"
    "    \"$QUERY_STRING\"\n";

static const char node_handler[] =
    "// Serves /api/@NAME@. Each request runs in a process of its own: what you change here, in\n"
    "// memory, is gone when it has answered. What stands outside of the handler is done once.\n"
    "\n"
    "exports.handler = async (event) => {\n"
    "  const parameters = event.queryStringParameters ?? event;\n"
    "  return { statusCode: 200, body: `Hello, ${parameters.name ?? 'world'}!\\n` };\n"
    "};\n";

static const char ruby_handler[] =
    "# Serves /api/@NAME@. Each request runs in a process of its own: what you change here, in\n"
    "# memory, is gone when it has answered. What stands outside of the method is done once.\n"
    "\n"
    "def handler(event:, context:)\n"
    "  parameters = event[\"queryStringParameters\"] || event\n"
    "  { statusCode: 200, body: \"Hello, #{parameters[\"name\"] || \"world\"}!\\n\" }\n"
    "end\n";

static const char perl_handler[] =
    "# Serves /api/@NAME@. Each request runs in a process of its own: what you change here, in\n"
    "# memory, is gone when it has answered. What stands outside of the sub is done once.\n"
    "use strict;\n"
    "use warnings;\n"
    "\n"
    "sub handler {\n"
    "    my ($event, $context) = @_;\n"
    "    my $parameters = $event->{queryStringParameters} // $event;\n"
    "    my $name = $parameters->{name} // 'world';\n"
    "    return {statusCode => 200, body => \"Hello, $name!\\n\"};\n"
    "}\n"
    "\n"
    "1;\n";

static const char php_script[] =
    "<?php\n"
    "// Serves /api/@NAME@. The script is compiled once; each request runs it in a process of its\n"
    "// own.\n"
    "\n"
    "header('Content-Type: text/plain');\n"
    "$name = $_GET['name'] ?? 'world';\n"
    "echo \"Hello, $name!\\n\";\n";

#define CONFIG(handler, runtime)                                                                   \
    "{\n"                                                                                          \
    "  \"functions\": {\n"                                                                         \
    "    \"@NAME@\": {\n"                                                                          \
    "      \"handler\": \"" handler "\", \"runtime\": \"" runtime "\",\n"                          \
    "      \"routes\": [\"/api/@NAME@\"],\n"                                                       \
    "      \"timeout\": 10\n"                                                                      \
    "    }\n"                                                                                      \
    "  }\n"                                                                                        \
    "}\n"

const struct template_file template_files[] = {
    {"python", "api/@NAME@.py", 0644, python_handler},
    {"python", "mayfly.json", 0644, "{\n  \"defaults\": {\"timeout\": 10}\n}\n"},
    {"node", "api/@NAME@.js", 0644, node_handler},
    {"node", "mayfly.json", 0644, "{\n  \"defaults\": {\"timeout\": 10}\n}\n"},
    {"ruby", "api/@NAME@.rb", 0644, ruby_handler},
    {"ruby", "mayfly.json", 0644, "{\n  \"defaults\": {\"timeout\": 10}\n}\n"},
    {"php", "api/@NAME@.php", 0644, php_script},
    {"php", "mayfly.json", 0644, "{\n  \"defaults\": {\"timeout\": 10}\n}\n"},
    {"perl", "api/@NAME@.pl", 0644, perl_handler},
    {"perl", "mayfly.json", 0644, "{\n  \"defaults\": {\"timeout\": 10}\n}\n"},
    {"c", "@NAME@.c", 0644, c_handler},
    {"c", "mayfly.json", 0644, CONFIG("@NAME@.@SYMBOL@", "native")},
    {"exec", "@NAME@.sh", 0755, exec_handler},
    {"exec", "mayfly.json", 0644, CONFIG("@NAME@.sh", "exec")},
};

const size_t n_template_files = ARRAY_SIZE(template_files);

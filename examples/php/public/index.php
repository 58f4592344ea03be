<?php
require __DIR__ . '/../greeting.php';

header('Content-Type: text/plain');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (preg_match('~^/hello/([^/]+)$~', $path, $found)) {
    echo greeting(rawurldecode($found[1]));
} else {
    http_response_code(404);
    echo "There is only /hello/NAME.\n";
}

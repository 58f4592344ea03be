<?php
// A PHP script. See README.md for what it does.

function deep_down() { throw new TypeError('broken on purpose'); }
function sleeper() { while (true); }

function joined(array $pairs): array {
    $seen = [];
    foreach ($pairs as [$name, $value]) $seen[$name] = isset($seen[$name]) ? "{$seen[$name]},$value" : $value;
    return $seen;
}

function query(): array {
    $pairs = [];
    foreach (array_filter(explode('&', $_SERVER['QUERY_STRING'] ?? '')) as $part)
        $pairs[] = array_map('urldecode', explode('=', $part, 2) + [1 => '']);
    return $pairs;
}

function upload(): string {
    $sha = hash_init('sha256');
    $in = fopen('php://input', 'rb');
    $total = 0;
    while (!feof($in)) { $piece = fread($in, 65536); hash_update($sha, $piece); $total += strlen($piece); }
    return "$total " . hash_final($sha);
}

function stream(): string {
    echo "one\n";
    while (ob_get_level()) ob_end_flush();
    flush();
    $link = stream_socket_client("tcp://127.0.0.1:{$_GET['port']}");
    fread($link, 1);
    return "two\n";
}

function log_lines(): string {
    file_put_contents('php://stdout', "to stdout: grüße\n");
    file_put_contents('php://stderr', "to stderr: grüße\n");
    return 'logged';
}

$path = rawurldecode(explode('?', $_SERVER['REQUEST_URI'])[0]);
header('Content-Type: text/plain; charset=utf-8');
switch (basename($path)) {
case 'echo':
    header('Content-Type: application/json');
    $headers = [];
    foreach ($_SERVER as $name => $value)
        if (str_starts_with($name, 'HTTP_')) $headers[strtolower(strtr(substr($name, 5), '_', '-'))] = $value;
        elseif (in_array($name, ['CONTENT_TYPE', 'CONTENT_LENGTH'])) $headers[strtolower(strtr($name, '_', '-'))] = $value;
    echo json_encode(['method' => $_SERVER['REQUEST_METHOD'], 'path' => $path, 'query' => (object)joined(query()),
        'headers' => $headers, 'body' => base64_encode(file_get_contents('php://input'))],
        JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
    break;
case 'status': http_response_code((int)($_GET['code'] ?? 200)); echo 'status'; break;
case 'headers':
    header('X-Mixed-Case: MiXed'); header('Set-Cookie: a=1; Path=/'); header('Set-Cookie: b=2', false); echo 'ok'; break;
case 'binary': header('Content-Type: application/octet-stream'); for ($i = 0; $i < 256; $i++) echo chr($i); break;
case 'unicode': echo file_get_contents('php://input'); break;
case 'stream': echo stream(); break;
case 'upload': echo upload(); break;
case 'download': for ($i = 0; $i < $_GET['mb'] * 16; $i++) echo str_repeat('d', 65536); break;
case 'error': deep_down(); break;
case 'sleep': sleeper(); break;
case 'log': echo log_lines(); break;
case 'env': echo getenv('GREETING'); break;
case 'count': echo 1; break;
case 'random': echo implode("\n", [mt_rand(), mt_rand(), bin2hex(random_bytes(8)), uniqid('', true)]); break;
}

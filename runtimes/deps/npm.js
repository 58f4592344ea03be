'use strict';
/* In the sandbox of mayfly-build: installs what a package-lock.json says into the current folder.
 *
 *   node npm.js NPM-CLI < {"package": {...}, "lock": "...", "scripts": true}
 *
 * First everything is unpacked and nothing is run; then the packages' own scripts, without the
 * user's settings and tokens, which are none of their business. The project's own scripts are not
 * run: its sources are not here. */
const {spawnSync} = require('child_process');
const fs = require('fs');

const WORDS_MAX = 14;
const HINTS = [
    [/EINTEGRITY/, 'a package is not the one that was locked; lock anew if that is meant'],
    [/EUSAGE|can only install packages when your package\.json/,
        'package.json and package-lock.json do not fit; run: npm install'],
    [/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ENOTCACHED|ECONNRESET/,
        'the registry does not answer; is there a network, is npm\'s "registry" right?'],
    [/E40[13]/, 'the registry wants to know who asks; put a token into ~/.npmrc'],
    [/E404|ETARGET/, 'is the name right, and is there such a version?'],
    [/not found: make|gyp ERR! .*(make|g\+\+|cc)\b|Could not find any Python/,
        'a package has to be compiled; run: apt install build-essential python3'],
    [/ENOSPC/, 'free some space'],
];

function wordsOf(output) {
    let lines = output.split('\n').map((line) => line.trimEnd().slice(0, 300))
        .filter((line) => line.trim() && !/A complete log of this run|npm notice|^npm (warn|WARN)/.test(line));
    const first = lines.findIndex((line) => /^npm (error|ERR!)/.test(line));
    if (first > 0) {
        lines = lines.slice(first);
    }
    if (lines.length > WORDS_MAX) {
        lines = [...lines.slice(0, 7), '...', ...lines.slice(-6)];
    }
    const hint = HINTS.find(([pattern]) => pattern.test(output));
    return lines.concat(hint ? [hint[1]] : []).join('\n');
}

function npm(cli, words, env) {
    const done = spawnSync(process.execPath, [cli, ...words],
        {env, encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'pipe']});
    if (done.status !== 0) {
        process.stdout.write(wordsOf(done.stdout + done.stderr) ||
            `npm ended with ${done.status ?? done.signal ?? done.error}`);
        process.exit(1);
    }
}

function main() {
    const cli = process.argv[2];
    const input = JSON.parse(fs.readFileSync(0, 'utf8'));
    const usual = ['--no-audit', '--no-fund', '--omit=dev', '--no-update-notifier'];
    const env = {...process.env, npm_config_cache: `${process.env.HOME}/npm`};

    fs.writeFileSync('package.json', JSON.stringify(input.package));
    fs.writeFileSync('package-lock.json', input.lock);
    npm(cli, ['ci', '--ignore-scripts', ...usual], env);
    if (input.scripts) {
        for (const name of Object.keys(env)) {
            if (/auth|token|password|userconfig|username|email|^\/\/|_\/\//i.test(name)) {
                delete env[name];
            }
        }
        for (const file of ['.npmrc', `${process.env.HOME}/.npmrc`]) {
            fs.rmSync(file, {force: true});
        }
        npm(cli, ['rebuild', ...usual], env);
    }
    fs.rmSync('.npmrc', {force: true});
    fs.mkdirSync('node_modules', {recursive: true}); /* where all is for development only */
}

main();

'use strict';

/* From the text of `handler` to an adapter that answers requests. */

const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');

const detect = require('./detect');

/* In the order of src/control/target.c. */
const ENDINGS = ['.mjs', '.js', '.cjs', '.mts', '.ts', '.cts'];

function hostError(type, message) {
  return Object.assign(new Error(message), { errorType: type, isHostError: true });
}

/* Splits `path/to/file.name` into a file that is there and a name in it. */
function find(handler) {
  const dot = handler.lastIndexOf('.');
  const stem = handler.slice(0, dot);
  const file = ENDINGS.map((ending) => stem + ending).find((name) => fs.existsSync(name));

  if (dot <= 0 || !file)
    throw hostError('Runtime.ImportModuleError', `there is no file ${stem} with the ending ${ENDINGS.join(', ')}`);
  return { file, symbol: handler.slice(dot + 1) };
}

function isTypeScript(file) {
  return /\.[mc]?ts$/.test(file);
}

/* CommonJS is required, since that needs no thread; whatever turns out to be an ES module is imported. */
async function loadModule(file) {
  const full = path.resolve(file);

  if (!/\.m[jt]s$/.test(file)) {
    try {
      return require(full);
    } catch (error) {
      if (!['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE'].includes(error && error.code)) throw error;
    }
  }
  return import(pathToFileURL(full).href);
}

function packageOf(name) {
  const parts = name.split('/');
  return name.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

/* The error as the author should read it. */
function explained(error, file) {
  if (error === null || typeof error !== 'object') return error;
  if (error instanceof SyntaxError) {
    error.errorType = 'Runtime.UserCodeSyntaxError';
    if (/Cannot use import statement|Unexpected token 'export'/.test(error.message))
      error.message += ` (an ES module: name it .mjs, or say "type": "module" in package.json)`;
    return error;
  }
  if (['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'].includes(error.code)) {
    const name = (/Cannot find (?:module|package) '([^']+)'/.exec(error.message) || [])[1];
    error.errorType = 'Runtime.ImportModuleError';
    if (name && !/^[./]/.test(name))
      error.message = `${error.message.split('\n')[0]} (not part of Node.js, nor in node_modules; in the project's ` +
        `folder run: npm install ${packageOf(name)})`;
    return error;
  }
  if (['ERR_UNKNOWN_FILE_EXTENSION', 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING'].includes(error.code) && isTypeScript(file))
    return hostError('Runtime.ImportModuleError', `${file}: Node.js ${process.version} does not run TypeScript; ` +
      'from 22.18 on it does: install a newer one, or compile the file to JavaScript');
  return error;
}

async function load(start) {
  const { file, symbol } = find(start.handler);
  let namespace;

  detect.prepare();
  if (isTypeScript(file) && !process.features.typescript)
    throw explained({ code: 'ERR_UNKNOWN_FILE_EXTENSION' }, file);
  try {
    namespace = await loadModule(file);
  } catch (error) {
    throw explained(error, file);
  }
  const { kind, handler } = await detect.choose(namespace, symbol, file);
  return require(`./adapters/${kind}`).create(handler, start);
}

module.exports = { load };

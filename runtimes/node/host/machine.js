'use strict';

/* What a sandbox does not show of the machine, node:os says all the same, as a container would: code that
 * asks for it in passing is not to fail. Each is asked first, and stands in only where that gave nothing. */

const os = require('os');
const nodeModule = require('module');

/* As libuv says it of the one interface that there always is. */
const loopback = () => ({
  lo: [{ address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4', mac: '00:00:00:00:00:00', internal: true,
    cidr: '127.0.0.1/8' }],
});

/* There is no /proc/cpuinfo: how many there are is known, and nothing else. */
const cpus = () => Array.from({ length: os.availableParallelism?.() ?? 1 }, () => (
  { model: 'unknown', speed: 0, times: { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 } }));

/* One of so many workers at once that /etc/passwd does not know its number. */
function user(options) {
  const texts = { username: process.env.USER ?? 'function', homedir: os.homedir(), shell: '/bin/sh' };

  if (options?.encoding === 'buffer') {
    for (const name of Object.keys(texts)) texts[name] = Buffer.from(texts[name]);
  }
  return { uid: process.getuid(), gid: process.getgid(), ...texts };
}

/* ENOENT: no such user. EAFNOSUPPORT, EPERM, EACCES: what the sandbox says of the kernel's list. */
const REFUSED = new Set([-2, -97, -1, -13]);

function orElse(name, otherwise) {
  const real = os[name];
  const { [name]: replacement } = {
    [name](...args) {
      try {
        return real.apply(this, args);
      } catch (error) {
        if (error.code !== 'ERR_SYSTEM_ERROR' || !REFUSED.has(-Math.abs(error.errno))) throw error;
        return otherwise(...args);
      }
    },
  };

  os[name] = Object.defineProperty(replacement, 'length', { value: real.length, configurable: true });
}

function install() {
  const real = os.cpus;

  orElse('networkInterfaces', loopback);
  orElse('userInfo', user);
  os.cpus = Object.defineProperty(function all() {
    const known = real();
    return known.length > 0 ? known : cpus();
  }, 'name', { value: 'cpus', configurable: true });
  nodeModule.syncBuiltinESMExports();
}

module.exports = { install };

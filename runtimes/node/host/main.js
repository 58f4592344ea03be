'use strict';

/* A Node function from its load to its requests. As `fork` this process is the zygote: it loads the
 * function, rehearses, and hands over to C, which returns in each worker. As `single` it serves one
 * request itself. */

const path = require('path');
const v8 = require('v8');

/* Functions are compiled while they are loaded. V8 would wait for the first call of each, which is in a
 * worker, and so again in every worker. */
v8.setFlagsFromString('--no-lazy');
v8.setFlagsFromString('--no-flush-bytecode');

const mode = process.argv[2];
const addon = require('./addon').load(path.join(__dirname, '..', 'mayfly.node'), mode);
const end = require('./end');
const errors = require('./errors');
const identity = require('./identity');
const load = require('./load');
const machine = require('./machine');
const Server = require('./server');

const start = mode === 'single' ? JSON.parse(process.env.MAYFLY_START) : addon.open();

delete process.env.MAYFLY_START;
process.argv.splice(1, 2, start.handler);
end.install(addon);
errors.install(addon);
identity.install(addon, mode);
machine.install();

let hasFailed = false;

/* An error of the load: the zygote tells it in its place and ends; a process that is on its own tells
 * it to the request that it was started for. */
function failLoad(error) {
  if (hasFailed) return;
  hasFailed = true;
  if (mode !== 'single') {
    errors.print(error);
    addon.fail(JSON.stringify(errors.describe(error)));
  }
  end.loaded();
  addon.single();
  new Server(addon, start, { handle() { throw error; } }).serve();
}

async function main() {
  const adapter = await load.load(start);
  if (hasFailed) return;
  const server = new Server(addon, start, adapter);

  if (mode === 'single') {
    await new Promise(setImmediate); /* rejections that nobody handles show by then */
    if (hasFailed) return;
    end.loaded();
    addon.single();
    await server.work();
    return;
  }
  await server.warmUp();
  /* From a turn of the event loop of its own: nothing is half done there. */
  const turn = setTimeout(() => {
    turn.unref(); /* it is no resource that anybody waits for */
    end.loaded();
    server.ready();
    addon.run();
    server.work();
  }, 0);
}

end.whileLoading(failLoad);
main().catch(failLoad);

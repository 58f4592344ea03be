// Bundles web/src with esbuild. build.py calls it: bundle.mjs NODE_MODULES OUTDIR [--debug]
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [modules, outdir, debug] = process.argv.slice(2);
const { build } = createRequire(join(modules, "x.js"))("esbuild");

// uPlot hangs everything it can do on one object, so that a bundler must keep it. What no chart here uses is taken
// off the object, and goes (3 KB of what a browser loads). A version that is written in another way stays whole.
const UNUSED = /^\s*(?:\(paths\.(?:stepped|bars|spline) .*|uPlot\.(?:assign|fmtNum|rangeNum|rangeLog|rangeAsinh|orient|join|fmtDate|tzDate|addGap|clipGaps)\s*=.*)$/gm;
const slim = {
  name: "slim",
  setup(b) {
    b.onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => ({ contents: (await readFile(path, "utf8")).replace(UNUSED, ""), loader: "js" }));
  },
};

await build({
  entryPoints: [join(dirname(fileURLToPath(import.meta.url)), "src", "main.jsx")], outdir, bundle: true, format: "esm", target: "es2021",
  jsx: "automatic", jsxImportSource: "preact", nodePaths: [modules], plugins: [slim], legalComments: "none", logLevel: "warning",
  minify: !debug, sourcemap: debug ? "linked" : false,
}).catch(() => process.exit(1));

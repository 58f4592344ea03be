// Bundles web/src with esbuild. build.py calls it: bundle.mjs NODE_MODULES OUTDIR [--debug]
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [modules, outdir, debug] = process.argv.slice(2);
const src = join(dirname(fileURLToPath(import.meta.url)), "src");
const { build } = createRequire(join(modules, "x.js"))("esbuild");

// uPlot hangs everything it can do on one object, so that a bundler must keep it. What no chart here uses goes (5 KB of
// what a browser loads): shapes and helpers are taken off the object, and logarithmic scales, its own words for dates and
// its legend lose their bodies. A version that is written in another way stays whole.
const UNUSED = /^\s*(?:\(paths\.(?:stepped|bars|spline) .*|uPlot\.(?:assign|fmtNum|rangeNum|rangeLog|rangeAsinh|orient|join|fmtDate|tzDate|addGap|clipGaps)\s*=.*)$/gm;
const EMPTIED = /^function (fmtDate|rangeLog|rangeAsinh|logAxisSplits|asinhAxisSplits|log10AxisValsFilt|log2AxisValsFilt|timeAxisStamps|timeAxisVals?|timeSeriesStamp|timeSeriesVal)\(.*\{$[^]*?^\}$/gm;
const slim = {
  name: "slim",
  setup(b) {
    b.onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => ({ contents: (await readFile(path, "utf8")).replace(UNUSED, "").replace(EMPTIED, "function $1() {}"), loader: "js" }));
  },
};

await build({
  entryPoints: [join(src, "main.jsx")], outdir, bundle: true, format: "esm", target: "es2021",
  jsxFactory: "h", jsxFragment: "Fragment", inject: [join(src, "h.js")], nodePaths: [modules], plugins: [slim], legalComments: "none", logLevel: "warning",
  minify: !debug, sourcemap: debug ? "linked" : false,
}).catch(() => process.exit(1));

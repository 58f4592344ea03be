"""Sources mean what they mean for path-to-regexp, which Vercel uses: the same paths fit."""
import json
import re
import subprocess

from lib import npm

SOURCES = ["/", "/a", "/:id", "/a/:id", "/a/:id?", "/:path*", "/a/:path+", "/p/:n(\\d{1,})", "/p/:n(\\d+)?/x",
           "/(.*)", "/a(.*)", "/:a.:b", "/:a-:b", "/a{-:b}?/c", "/x{/:y}*", "/a\\:b", "/:a((?!api/).*)",
           "/:file(.*)\\.css", "/(a|b)/c", "/:l(en|de)/:rest*", "/a.b\\+c", "/:x([a-z]{2,3})",
           "/{:y-}?z", "/a/:b*/c", "/:year(\\d{4})-:month(\\d{2})"]
PATHS = ["/", "/a", "/a/", "/b", "/a/b", "/a/b/c", "/a/c", "/p/12", "/p/x", "/p/12/x", "/p/x/x", "/a-b/c", "/a/c", "/x",
         "/x/1/2", "/a:b", "/api/x", "/apix", "/site.css", "/s/t.css", "/a.b+c", "/en", "/en/x/y", "/fr", "/de/x",
         "/ab", "/abcd", "/y-z", "/z", "/2024-12", "/2024-1", "/x.y", "/x-y", "/a//b"]
ORACLE = """
const { pathToRegexp } = require('path-to-regexp');
const [sources, paths] = JSON.parse(require('fs').readFileSync(0));
console.log(JSON.stringify(sources.map(s => {
  const regex = pathToRegexp(s, [], { strict: true, sensitive: false, delimiter: '/' });
  return paths.map(p => { const m = regex.exec(p); return m ? [...m].slice(1).map(g => g || '') : null; });
})));
"""


def test_sources_fit_the_same_paths_with_the_same_values(mayfly):
    node, modules = npm.node(), npm.packages(**{"path-to-regexp": "6.1.0"})
    answer = subprocess.run([node, "-e", ORACLE], input=json.dumps([SOURCES, PATHS]), text=True, check=True,
                            capture_output=True, cwd=modules.parent)
    wanted = json.loads(answer.stdout)
    # The groups come back in the location.
    for source, expected in zip(SOURCES, wanted):
        daemon = mayfly({"public/x.txt": "x", "vercel.json": json.dumps(
            {"redirects": [{"source": source, "destination": "https://fits.example/" + names(source)}]})})
        for path, groups in zip(PATHS, expected):
            answer = daemon.get(path)
            location = answer.headers.get("location")
            if groups is None:
                assert location is None, (source, path, location)
            else:
                assert location is not None, (source, path, groups)
                given = [g for n, g in zip(keys(source), groups) if n]
                assert location == "https://fits.example/" + "|".join(given), (source, path, groups)
        daemon.stop()


def keys(source):
    """The parameters in their order; "" without a name. Ours are simple enough for this."""
    source = re.sub(r"\\.", "", source)
    found = re.findall(r":(\w+)|(?<![\w:])\((?!\?)", source)
    return found


def names(source):
    return "|".join(":" + k for k in keys(source) if k)

"""Clients of Lambda's Runtime API that others have written: built once from their registries, with the
functions in provided/clients around them. Each skips the test if it cannot be had here."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from . import npm
from .cache import digest, filled

SOURCES = pathlib.Path(__file__).parents[1] / "provided" / "clients"
BUILD_SECONDS = 1200  # libcurl and node's addon, on a busy machine

GO_CLIENT = "github.com/aws/aws-lambda-go@v1.47.0"
RUST_CLIENT = "1.5.0"
NODE_CLIENT = "3.3.0"  # the last one for a Node.js older than 22

CARGO = """
[package]
name = "bootstrap"
version = "0.1.0"
edition = "2021"

[dependencies]
lambda_runtime = { version = "=%s", default-features = false }
serde_json = "1"
tokio = { version = "1", features = ["macros", "rt"] }

[profile.release]
opt-level = 0
""" % RUST_CLIENT


def carry_out(words, folder, **env):
    """Runs a step of a build; skips the test with its last words if it fails."""
    done = subprocess.run(["nice", *words], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True,
                          timeout=BUILD_SECONDS)
    if done.returncode != 0:
        pytest.skip("%s: %s" % (" ".join(map(str, words[:2])), done.stderr.strip()[-300:]))


def go():
    """The path of a bootstrap with aws-lambda-go."""
    def fill(folder):
        program = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
        if not program:
            pytest.skip("there is no go to build aws-lambda-go with")
        build = folder / "build"
        build.mkdir()
        shutil.copy(SOURCES / "main.go", build)
        (build / "go.mod").write_text("module hello\n\ngo 1.21\n")
        env = {"CGO_ENABLED": "0", "HOME": str(build), "GOPATH": str(build / "go"), "GOFLAGS": "-modcacherw"}
        carry_out([program, "get", GO_CLIENT], build, **env)
        carry_out([program, "build", "-tags", "lambda.norpc", "-o", folder / "bootstrap", "."], build, **env)
        shutil.rmtree(build)

    return filled(named("go", "main.go", GO_CLIENT), fill) / "bootstrap"


def rust():
    """The path of a bootstrap with lambda_runtime."""
    def fill(folder):
        program = shutil.which("cargo")
        if not program:
            pytest.skip("there is no cargo to build lambda_runtime with")
        build = folder / "build"
        (build / "src").mkdir(parents=True)
        shutil.copy(SOURCES / "main.rs", build / "src")
        (build / "Cargo.toml").write_text(CARGO)
        # Of what lambda_runtime needs, the newest that this compiler is new enough for.
        carry_out([program, "build", "--release", "--quiet"], build, CARGO_TARGET_DIR=str(build / "target"),
                  CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS="fallback")
        (build / "target/release/bootstrap").rename(folder / "bootstrap")
        shutil.rmtree(build)

    return filled(named("rust", "main.rs", CARGO), fill) / "bootstrap"


def node():
    """(node, the folder of aws-lambda-ric): its addon is built for that node, by its own scripts."""
    program = npm.node()

    def fill(folder):
        for name in ("npm", "cmake", "autoreconf", "libtoolize", "make", "g++"):
            if not shutil.which(name):
                pytest.skip(f"there is no {name} to build aws-lambda-ric with")
        prefix = pathlib.Path(program).resolve().parents[1]
        if not (prefix / "include/node/node.h").exists():
            pytest.skip(f"there are no headers of node in {prefix}/include to build aws-lambda-ric with")
        build = folder / "build"
        build.mkdir()
        (build / "package.json").write_text(json.dumps({"private": True, "dependencies": {"aws-lambda-ric": NODE_CLIENT}}))
        # Debian's Python before others: node-gyp needs distutils.
        python = shutil.which("python3", path="/usr/bin") or shutil.which("python3")
        carry_out(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], build,
                  npm_config_nodedir=str(prefix), npm_config_python=python or "")
        client = build / "node_modules/aws-lambda-ric"
        for name in ("bin", "dist", "package.json"):
            (client / name).rename(folder / name)
        shutil.rmtree(build)

    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return program, filled(named("ric", None, NODE_CLIENT + version), fill)


def named(name, source, key):
    """A name for what is built from these."""
    return f"client-{name}-{digest(key + ((SOURCES / source).read_text() if source else ''))}"

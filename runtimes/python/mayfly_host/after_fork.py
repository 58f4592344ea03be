"""What a worker does right after the fork, ahead of any request.

PyOS_AfterFork_Child() is what os.fork() runs in the child. It makes a process right that had several
threads: fresh locks, a fresh GIL, all registered hooks. A zygote with one thread holds no lock that
somebody else would have to give back, so of all that only this remains to be done:

* `random` must not give the same numbers in every worker (CPython's own hook does the same), nor
  NumPy's global generator, which has no hook;
* the main thread's native id is another one;
* an event loop that was made at load time shares its epoll with every other worker.

Measured with random, threading, logging and concurrent.futures loaded: 171 page faults a worker, and
292 with PyOS_AfterFork_Child(); with CPython 3.13 178 and 289.

For OpenSSL, which tells processes apart by their PID, openssl.c sees to it that nothing remains.

Threads at load time, or a hook that the author's code or a library has registered by
os.register_at_fork(), mean that all hooks run.
"""

import gc
import os
import sys

# Modules of the standard library that register hooks. For a process with one thread theirs are
# covered by what is said above: they renew locks that nobody holds.
_STDLIB = frozenset(("threading", "random", "logging", "concurrent.futures.thread", "asyncio.events",
                     "multiprocessing.util", "weakref"))

_foreign_hooks = []


def watch_hooks():
    """Notes who registers hooks from now on."""
    register = os.register_at_fork

    def register_at_fork(**hooks):
        module = sys._getframe(1).f_globals.get("__name__", "?")
        if module not in _STDLIB:
            _foreign_hooks.append(module)
        register(**hooks)

    register_at_fork.__doc__ = register.__doc__
    os.register_at_fork = register_at_fork
    if "posix" in sys.modules:
        sys.modules["posix"].register_at_fork = register_at_fork


def alive_threads():
    """Names of the threads that run beside the main one, and cannot be taken into a worker."""
    threading = sys.modules.get("threading")
    names = [t.name for t in threading.enumerate()
             if t is not threading.main_thread()] if threading else []
    native = len(os.listdir("/proc/self/task")) - 1 - len(names)
    if native > 0:
        names.append("%d of a library's own" % native)
    return names


def plan():
    """(callables for the worker, whether all hooks are to run, names of the threads)."""
    threads = alive_threads()
    all_hooks = bool(threads or _foreign_hooks)
    # Asks for what it needs of each module: the author's own random.py may be called so, too.
    modules = sys.modules.get
    calls = []
    if not all_hooks:  # or else this is among the hooks
        calls.append(getattr(getattr(modules("random"), "_inst", None), "seed", None))
    calls.append(_set_native_id(modules("threading")))
    calls.append(getattr(modules("numpy.random"), "seed", None))
    calls.append(_renew_loops(modules("asyncio")))
    if hasattr(modules("tempfile"), "_name_sequence"):
        modules("tempfile")._name_sequence = None  # told apart by PID, too
    return tuple(call for call in calls if call), all_hooks, threads


def _set_native_id(threading):
    main = getattr(threading, "main_thread", None)
    return main and getattr(main(), "_set_native_id", None)


def forget_process(mayfly):
    """Makes every OpenSSL believe that it is in another process than the one that last drew from it:
    those that are shared libraries, Python's own, and the one inside of `cryptography`."""
    own = getattr(sys.modules.get("_ssl"), "RAND_bytes", None)
    rust = getattr(sys.modules.get("cryptography.hazmat.bindings._rust"), "openssl", None)
    keys = getattr(getattr(rust, "ed25519", None), "generate_key", None)
    if mayfly.openssl_forget(tuple(draw for draw in (own and (lambda: own(1)), keys) if draw)):
        os.register_at_fork(after_in_child=mayfly.openssl_after_fork)


def _renew_loops(asyncio):
    kind = getattr(asyncio, "SelectorEventLoop", None)
    if kind is None:
        return None
    kind = kind.__mro__[1]  # BaseSelectorEventLoop, which others derive from
    loops = [o for o in gc.get_objects() if isinstance(o, kind) and not o.is_closed()]
    return loops and (lambda: [_renew_loop(loop) for loop in loops])


def _renew_loop(loop):
    """Gives the loop an epoll and a wake-up pipe of its own. What else it watched, it goes on to
    watch: files that the zygote had open are open here."""
    selectors = sys.modules["selectors"]
    before = loop._selector
    watched = [key for key in before.get_map().values() if key.fileobj is not loop._ssock]
    loop._selector = selectors.DefaultSelector()
    for sock in (loop._ssock, loop._csock):
        sock.close()
    before.close()
    loop._internal_fds -= 1
    loop._make_self_pipe()
    for key in watched:
        loop._selector.register(key.fileobj, key.events, key.data)

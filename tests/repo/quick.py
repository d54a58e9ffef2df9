"""`crmbridge` for a shell, without a second of start-up each time: one process has imported everything, and forks for each call.

The first argument is the socket; alone, it serves there. Each call brings its folder, environment, arguments and open files, and
is told the number of its process and, in the end, its exit code.
"""

import json
import os
import signal
import socket
import sys


def call(door, arguments):
    """Have it done; a signal goes on to who does it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as to:
        to.connect(door)
        asked = json.dumps([os.getcwd(), dict(os.environ), arguments]).encode()
        socket.send_fds(to, [len(asked).to_bytes(4, "big") + asked], [0, 1, 2])
        answers = to.makefile("rb")
        process = int(answers.readline())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(process, number))
        return int(answers.readline() or 1)


def serve(door):
    """Fork for each call, until who began this ends."""
    import importlib

    from crmbridge import app, registry, simulate  # noqa: F401
    from crmbridge.cli import main
    from crmbridge.cli.group import _VERBS, cli

    for family, _ in _VERBS.values():
        importlib.import_module(f"crmbridge.cli.{family}")
    for name in ("files", "sql", "webhook", "rest"):
        registry.load("sources", name)
    for name in ("console", "file", "chirp", "webhook"):
        registry.load("destinations", name)
    cli.list_commands(None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as at:
        at.bind(door)
        at.listen(16)
        print("ready", flush=True)
        while True:
            to, _ = at.accept()
            if os.fork() == 0:
                at.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os._exit(answer(to, main))
            to.close()


def answer(to, main):
    """One call: a process for what is asked, and one that waits for it."""
    head, files, _, _ = socket.recv_fds(to, 1 << 20, 3)
    while len(head) < 4 + int.from_bytes(head[:4], "big"):
        head += to.recv(1 << 20)
    folder, environment, arguments = json.loads(head[4:])
    process = os.fork()
    if process:
        for one in files:
            os.close(one)
        to.sendall(b"%d\n" % process)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        to.sendall(b"%d\n" % (code if code >= 0 else 128 - code))
        return 0
    to.close()
    for number, one in enumerate(files):
        os.dup2(one, number)
        os.close(one)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["crmbridge", *arguments]
    sys.stdout.reconfigure(line_buffering=True)  # what a daemon says is looked at while it runs
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        sys.exit(call(sys.argv[1], sys.argv[2:]))

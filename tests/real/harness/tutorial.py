"""A tutorial of docs/, done word by word: each fenced block is run or written, and what it shows is compared.

| block | is |
|---|---|
| `console` | commands behind `$ `, each with all that it prints; they end with status 0, or show their status as curl does: `(28)` |
| `console NAME` | the same in a terminal of its own, whose last command goes on running; `^C` stops the one before it, and lines in front of the first command are what the running one prints further |
| `toml` behind a line that ends with a file's name in backticks and a colon | the file |
| `python` | a cell of one notebook; a `text` block behind it is what it prints, and the value of its last expression |

In what is shown, `…` stands for anything in a line, and alone for any lines. Ports of this machine are replaced by free ones.
"""

import json
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

from .process import REPOSITORY, Child, free_port, until
from .proxy import binary

SENTINEL = "that was the command, status"
#: A notebook: reads cells as lines of JSON, and answers each with what it has printed.
NOTEBOOK = """
import ast, contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    tree = ast.parse(json.loads(line))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            exec(compile(tree, "cell", "exec"), names)
            if last is not None and (value := eval(compile(ast.Expression(last.value), "cell", "eval"), names)) is not None:
                print(repr(value))
        except Exception as error:
            print(traceback.format_exception_only(error)[-1])
    said = printed.getvalue().rstrip("\\n")
    print(json.dumps(said and said + "\\n"), flush=True)
"""


@dataclass
class Block:
    language: str
    #: Name of a terminal, or empty.
    terminal: str
    text: str
    #: The line in front of it.
    caption: str
    place: str


def blocks(page: Path) -> list[Block]:
    """Fenced blocks, with free ports in place of those that the page names."""
    text = page.read_text()
    ports = {port: str(free_port()) for port in sorted(set(re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", text)))}
    for port, free in ports.items():
        text = re.sub(rf":{port}\b", f":{free}", text)
    found = []
    for match in re.finditer(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", text, re.M | re.S):
        before = text[: match.start()].rstrip().rsplit("\n", 1)[-1]
        place = f"{page.name}:{text[: match.start()].count(chr(10)) + 1}"
        found.append(Block(match[1], match[2] or "", match[3], before, place))
    assert text.count("```") == 2 * len(found), f"{page.name} has blocks of another form"
    return found


def pattern(shown: list[str]) -> re.Pattern:
    """What these lines stand for."""
    lines = [r"(?:.*\n)*?" if line == "…" else r".*?".join(map(re.escape, line.split("…"))) + r"\n" for line in shown]
    return re.compile("".join(lines))


def commands(text: str) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Lines in front of the first command, and each command with the lines that it shows."""
    first: list[str] = []
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        else:
            (found[-1][1] if found else first).append(line)
    return first, found


class Tutorial:
    """One reader with a folder, a terminal, further ones by name, and a notebook."""

    def __init__(self, place: Path):
        self.place = place
        programs = place / "programs"
        programs.mkdir(parents=True)
        (programs / "unpage").symlink_to(binary().resolve())
        self.folder = place / "work"
        self.folder.mkdir()
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        # pip's notice of a newer pip comes once a week, and is no part of the page.
        own = {"HOME": str(place), "XDG_CACHE_HOME": str(place / "cache"), "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        self.environment = {**os.environ, **own}
        self.terminals: dict[str, Child] = {}
        #: Bytes of a terminal's output that were compared.
        self.compared: dict[str, int] = {}
        self.shell = self.process(["bash", "--norc"], STDOUT)
        self.notebook = self.process([sys.executable, "-c", NOTEBOOK], None)
        #: Number of blocks that were done, by language.
        self.done: dict[str, int] = {}

    def process(self, command: list[str], stderr: int | None) -> Popen:
        return Popen(command, stdin=PIPE, stdout=PIPE, stderr=stderr, text=True, cwd=self.folder, env=self.environment)

    def do(self, page: str) -> None:
        all_blocks = blocks(REPOSITORY / "docs" / page)
        for block, following in zip(all_blocks, [*all_blocks[1:], None], strict=True):
            print(f"--- {block.place}: {block.language} {block.terminal}")
            self.done[block.language] = self.done.get(block.language, 0) + 1
            match block.language:
                case "console" if block.terminal:
                    self.in_terminal(block)
                case "console":
                    self.in_shell(block)
                case "toml":
                    name = re.search(r"`([\w./-]+)`:$", block.caption)
                    assert name, f"{block.place}: no file is named by {block.caption!r}"
                    (self.folder / name[1]).write_text(block.text)
                case "python":
                    shown = following.text if following and following.language == "text" else ""
                    self.in_notebook(block, shown.splitlines())
                case "text":
                    assert all_blocks[all_blocks.index(block) - 1].language == "python", block.place
                case _:
                    raise ValueError(f"{block.place}: {block.language}")

    def in_shell(self, block: Block) -> None:
        first, all_commands = commands(block.text)
        assert not first and all_commands, f"{block.place}: {first}"
        for command, shown in all_commands:
            self.shell.stdin.write(f"{command}\nprintf '\\n{SENTINEL} %d\\n' $?\n")
            self.shell.stdin.flush()
            lines = []
            while not (line := self.shell.stdout.readline()).startswith(SENTINEL):
                assert line, f"{block.place}: the shell has ended in {command}"
                lines.append(line)
            said = "".join(lines).removesuffix("\n")
            said += "" if not said or said.endswith("\n") else "\n"
            status = int(line.removeprefix(SENTINEL))
            print(f"$ {command}\n{said}[{status}]")
            assert pattern(shown).fullmatch(said), f"{block.place}: {command} said\n{said}and not\n" + "\n".join(shown)
            assert status == 0 or f"({status})" in "\n".join(shown), f"{block.place}: {command}: status {status}"

    def in_terminal(self, block: Block) -> None:
        first, all_commands = commands(block.text)
        child = self.terminals.get(block.terminal)
        if first == ["^C"]:
            child.signal(signal.SIGINT)
            assert child.process.wait(60) == 0, child.said()
        elif first:
            self.expect(block, first)
        if all_commands:
            assert child is None or not child.running(), f"{block.place}: the terminal is in use"
            script = "\n".join(command for command, _ in all_commands)
            log = self.place / f"{block.terminal}-{len(list(self.place.glob('*.log')))}.log"
            self.terminals[block.terminal] = Child(["bash", "-euc", script], log, self.environment, self.folder)
            self.compared[block.terminal] = 0
            self.expect(block, [line for _, shown in all_commands for line in shown])

    def expect(self, block: Block, shown: list[str]) -> None:
        """Waits until the running command has printed these lines behind those before."""
        child, begin = self.terminals[block.terminal], self.compared[block.terminal]
        try:
            end = until(lambda: (found := pattern(shown).match(child.said(), begin)) and found.end(), block.place)
        except TimeoutError:
            raise AssertionError(f"{block.place}: it said\n{child.said()[begin:]}and not\n" + "\n".join(shown)) from None
        self.compared[block.terminal] = end

    def in_notebook(self, block: Block, shown: list[str]) -> None:
        self.notebook.stdin.write(json.dumps(block.text) + "\n")
        self.notebook.stdin.flush()
        said = json.loads(self.notebook.stdout.readline())
        print(said)
        assert pattern(shown).fullmatch(said), f"{block.place}: it said\n{said}and not\n" + "\n".join(shown)

    def stop(self) -> None:
        for process in (self.shell, self.notebook):
            process.stdin.close()
            process.wait(20)
            process.stdout.close()
        for name, child in self.terminals.items():
            child.stop()
            print(f"--- terminal {name}:\n{child.said()}")

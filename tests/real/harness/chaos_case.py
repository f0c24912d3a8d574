"""Cases of chaos: each follows from its seed alone. A batch of them shares one run of unpage, and what happens to it."""

import enum
import json
import random
import zlib
from dataclasses import dataclass, field

from .forms import FORMS

#: Cases of one run of unpage.
BATCH = 16
DIALECTS = ("cursor", "link", "page", "offset", "keyset")


class Kind(enum.Enum):
    """Behaviour of the upstream over a whole crawl."""

    GOOD = "good"
    #: Faults that pass: each page is good before all attempts are used up.
    PASSING = "passing"
    #: From a page on every attempt fails.
    STAYING = "staying"
    #: An answer that is well formed and wrong, each time.
    LYING = "lying"


class Fault(enum.Enum):
    """Fault of one answer."""

    CUT = "cut"
    RESET = "reset"
    STALL = "stall"
    DRIP = "drip"
    CORRUPT = "corrupt"
    GARBLED = "garbled head"
    LONG = "length too long"
    SHORT = "length too short"
    SILENT = "closed without an answer"
    BUSY = "503"
    THROTTLED = "429"
    FAILED = "500"
    UNAUTHORISED = "401"
    TWICE = "sent twice"
    AHEAD = "the next page's answer"
    AGAIN = "the answer before"
    LOOP = "leads back"
    SHRUNK = "a smaller total"


PASSING = (
    *(Fault.CUT, Fault.RESET, Fault.STALL, Fault.DRIP, Fault.CORRUPT, Fault.GARBLED, Fault.LONG, Fault.SHORT),
    *(Fault.SILENT, Fault.BUSY, Fault.THROTTLED, Fault.FAILED),
)
STAYING = (Fault.UNAUTHORISED, Fault.FAILED, Fault.CUT, Fault.RESET, Fault.CORRUPT, Fault.SHORT)
LYING = (Fault.TWICE, Fault.AHEAD, Fault.AGAIN, Fault.LOOP, Fault.SHRUNK)


class Harm(enum.Enum):
    """Event in the life of unpage's process."""

    NONE = "none"
    KILLED = "kill -9, and a new start"
    STOPPED = "SIGSTOP, and SIGCONT after longer than a timeout"
    FULL = "files can't grow beyond 16 kB"
    EIO = "each write to a file fails from the thirtieth on"


@dataclass(frozen=True)
class Case:
    """One crawl."""

    seed: int
    dialect: str
    records: int
    page: int
    is_gzip: bool
    kind: Kind
    #: By the number of a page: its fault, and on how many attempts.
    faults: dict[int, tuple[Fault, int]] = field(default_factory=dict)
    version: str = "--http1.1"

    @staticmethod
    def of(seed: int) -> "Case":
        dice = random.Random(f"case {seed}")
        page = dice.choice([5, 10, 20])
        pages = dice.randint(15, 25)
        kind = dice.choices(list(Kind), weights=[1, 5, 1, 1])[0]
        faults = {}
        match kind:
            case Kind.PASSING:
                # One burst, and at most one fault for each ten pages beside it.
                for _ in range(dice.randint(1, 2)):
                    faults[dice.randrange(pages)] = (dice.choice(PASSING), 1)
                if dice.random() < 0.3:
                    # After one at the beginning, pages are asked for at one a second for a long time.
                    first = dice.randrange(8, pages - 2)
                    burst = (dice.choice([Fault.BUSY, Fault.THROTTLED, Fault.FAILED]), 1)
                    faults = {first: burst, first + 1: burst}
            case Kind.STAYING:
                faults[dice.randrange(pages)] = (dice.choice(STAYING), 1000)
            case Kind.LYING:
                faults[dice.randrange(1, pages - 1)] = (dice.choice(LYING), 1000)
        return Case(
            seed=seed,
            dialect=dice.choice(DIALECTS),
            records=page * (pages - 1) + dice.randint(1, page),
            page=page,
            is_gzip=dice.random() < 0.4,
            kind=kind,
            faults=faults,
            version=dice.choice(["--http1.1", "--http2-prior-knowledge"]),
        )

    @property
    def pages(self) -> int:
        return -(-self.records // self.page)

    @property
    def path(self) -> str:
        return f"/{self.dialect}/{self.seed}"

    @property
    def form(self) -> str:
        """Every other case asks for the format of the log. Codings change with each seed, too."""
        return list(FORMS)[self.seed // 4 % len(FORMS)] if self.seed % 4 >= 2 else "ndjson"

    @property
    def caller(self) -> str:
        return f"Bearer caller-{self.seed}"

    def says(self) -> str:
        faults = {page: fault.value for page, (fault, _) in self.faults.items()}
        return f"{self.form}, {self.dialect}, {self.pages} pages of {self.page}, gzip {self.is_gzip}, {self.kind.value} {faults}"


def harm_of(batch: int) -> tuple[Harm, float]:
    """What happens to the process of a batch, and after which part of its pages."""
    dice = random.Random(f"batch {batch}")
    harm = dice.choices(list(Harm), weights=[4, 3, 2, 1, 1])[0]
    return harm, dice.uniform(0.1, 0.8)


def record(seed: int, number: int) -> bytes:
    """A record that says which one it is, and proves it; a Feature for GeoJSON."""
    told = {"id": number, "list": seed, "pad": "x" * (number % 40)}
    return json.dumps({"type": "Feature", **told, "crc": checksum(told)}, separators=(",", ":")).encode()


def checksum(told: dict) -> int:
    return zlib.crc32(json.dumps(told, sort_keys=True).encode())

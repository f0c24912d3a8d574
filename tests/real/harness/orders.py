"""The records that every upstream serves, the same in each run, and the SQLite file that three of the servers share."""

import sqlite3
from pathlib import Path

# Prime, so that no page size divides it: every last page is a short one.
COUNT = 1237

#: Statement that adds a record to the database.
INSERT = "insert into orders values (:id, :number, :customer, :cents, :note, :serial, :weight, :placed)"

CUSTOMERS = ("Ada", "Bo", "Çelik", "李", "O'Neil")


def order(number: int) -> dict:
    """One record, with what breaks careless readers: quotes, line breaks, other scripts, integers beyond a double."""
    return {
        "id": number,
        "number": f"ord-{number:07d}",
        "customer": CUSTOMERS[number % len(CUSTOMERS)],
        "cents": number * 7919 % 100_000,
        "note": f'order №{number} "urgent" \\ {{[\nsecond line',
        "serial": 2**53 + 2 * number + 1,
        "weight": number / 8,
        # Seven orders share each instant: a cursor that knows nothing but the instant would lose some of them.
        "placed": f"2024-01-01T{number // 7 // 60:02d}:{number // 7 % 60:02d}:00Z",
    }


def number_of(name: str) -> int:
    """Number of the order with this name."""
    return int(name.removeprefix("ord-"))


def orders() -> list[dict]:
    """All records, in the order of their ids."""
    return [order(number) for number in range(1, COUNT + 1)]


def safe(order: dict) -> dict:
    """The record without the integer that a JavaScript server can't keep; its id is text, as json-server wants it."""
    return {**{k: v for k, v in order.items() if k != "serial"}, "id": str(order["id"])}


def write_sqlite(path: Path, stock: list[dict]) -> None:
    """Makes the database: `orders` with a primary key, and `notes` without one."""
    with sqlite3.connect(path) as db:
        db.execute(
            "create table orders (id integer primary key, number text not null, customer text not null,"
            " cents integer not null, note text not null, serial integer not null, weight real not null,"
            " placed text not null)"
        )
        db.executemany(INSERT, stock)
        db.execute("create table notes (note text not null)")
        db.executemany("insert into notes values (:note)", stock)
    db.close()


def rows(path: Path, query: str) -> list[dict]:
    """Answer of the database itself."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in db.execute(query)]
    finally:
        db.close()

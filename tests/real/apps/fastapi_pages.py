"""FastAPI with fastapi-pagination's own page classes over the shared SQLite database."""

import os

from fastapi import Depends, FastAPI
from fastapi_pagination import LimitOffsetPage, Page, add_pagination, links
from fastapi_pagination.cursor import CursorPage
from fastapi_pagination.ext.sqlalchemy import paginate
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine("sqlite:///" + os.environ["ORDERS_SQLITE"])
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    customer: Mapped[str]
    cents: Mapped[int]
    note: Mapped[str]
    serial: Mapped[int]
    weight: Mapped[float]
    placed: Mapped[str]


class Order(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    number: str
    customer: str
    cents: int
    note: str
    serial: int
    weight: float
    placed: str


def database():
    with Session(engine) as session:
        yield session


def listing(path, page):
    """A list operation that answers in this page class."""

    @app.get(path, response_model=page)
    def orders(session: Session = Depends(database)):
        return paginate(session, select(Row).order_by(Row.id))


listing("/page", Page[Order])
listing("/offset", LimitOffsetPage[Order])
listing("/cursor", CursorPage[Order])
listing("/links", links.Page[Order])
add_pagination(app)

"""Django REST framework in one file: its own paginators over the shared SQLite database, read only."""

import os

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["ORDERS_SQLITE"]}},
    DEBUG=False,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "rest_framework"],
    MIDDLEWARE=["django.middleware.gzip.GZipMiddleware", "django.middleware.http.ConditionalGetMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests only",
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.urls import path  # noqa: E402
from drf_link_header_pagination import LinkHeaderPagination  # noqa: E402
from rest_framework import generics, pagination, serializers  # noqa: E402


class Order(models.Model):
    number = models.TextField()
    customer = models.TextField()
    cents = models.IntegerField()
    note = models.TextField()
    serial = models.BigIntegerField()
    weight = models.FloatField()
    placed = models.TextField()

    class Meta:
        app_label = "orders"
        db_table = "orders"
        managed = False
        ordering = ["id"]


class OrderSerializer(serializers.ModelSerializer):
    # The framework trims text by default, which would be a change of the record.
    note = serializers.CharField(trim_whitespace=False)

    class Meta:
        model = Order
        fields = "__all__"


class ByPage(pagination.PageNumberPagination):
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 500


class ByOffset(pagination.LimitOffsetPagination):
    default_limit = 100
    max_limit = 500


class ByCursor(pagination.CursorPagination):
    page_size = 100
    page_size_query_param = "page_size"
    ordering = "placed"


class ByLink(LinkHeaderPagination):
    page_size = 100
    page_size_query_param = "page_size"


def listing(paginator):
    """A list view with this paginator."""
    return generics.ListAPIView.as_view(
        queryset=Order.objects.all(), serializer_class=OrderSerializer, pagination_class=paginator
    )


urlpatterns = [
    path("page/", listing(ByPage)),
    path("offset/", listing(ByOffset)),
    path("cursor/", listing(ByCursor)),
    path("link/", listing(ByLink)),
]
application = get_wsgi_application()

"""Django in one file, over the shared SQLite database, read only: REST framework's own paginators, its JSON:API adapter, Tastypie and Ninja."""

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
from django.urls import include, path  # noqa: E402
from drf_link_header_pagination import LinkHeaderPagination  # noqa: E402
from ninja import ModelSchema, NinjaAPI  # noqa: E402
from ninja.pagination import paginate  # noqa: E402
from rest_framework import generics, pagination, serializers  # noqa: E402
from rest_framework_json_api import pagination as json_api_pagination  # noqa: E402
from rest_framework_json_api import renderers as json_api_renderers  # noqa: E402
from rest_framework_json_api import serializers as json_api_serializers  # noqa: E402
from tastypie.api import Api  # noqa: E402
from tastypie.resources import ModelResource  # noqa: E402


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


class JsonApiSerializer(json_api_serializers.ModelSerializer):
    note = serializers.CharField(trim_whitespace=False)

    class Meta:
        model = Order
        fields = ("number", "customer", "cents", "note", "serial", "weight", "placed")


class JsonApiPages(json_api_pagination.JsonApiPageNumberPagination):
    page_size = 100


class JsonApiOrders(generics.ListAPIView):
    queryset = Order.objects.all()
    serializer_class = JsonApiSerializer
    pagination_class = JsonApiPages
    renderer_classes = [json_api_renderers.JSONRenderer]
    resource_name = "orders"


class TastypieOrders(ModelResource):
    class Meta:
        queryset = Order.objects.all()
        resource_name = "order"
        allowed_methods = ["get"]
        max_limit = 500


tastypie = Api(api_name="v1")
tastypie.register(TastypieOrders())


class NinjaOrder(ModelSchema):
    class Meta:
        model = Order
        fields = "__all__"


ninja = NinjaAPI()


@ninja.get("/orders", response=list[NinjaOrder])
@paginate
def ninja_orders(request):
    return Order.objects.all()


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
    path("jsonapi/orders", JsonApiOrders.as_view()),
    path("tastypie/", include(tastypie.urls)),
    path("ninja/", ninja.urls),
]
application = get_wsgi_application()

"""A small CRM as people write them in house, with Django itself: truth as its database has it, stamps by `auto_now`, deletions for good.

Run as a program: the address of a database, then words, each of which does what a button of such a CRM does.
"""

import sys
from datetime import datetime, timezone
from decimal import Decimal
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.db import connection, models

ENGINES = {"sqlite": "sqlite3", "mysql": "mysql", "postgresql": "postgresql"}


def database(address):
    """Django's settings for an address."""
    url = urlsplit(address)
    name = url.path if url.scheme == "sqlite" else url.path.strip("/")
    if url.scheme == "mysql":
        import pymysql

        pymysql.install_as_MySQLdb()
    return {
        "ENGINE": f"django.db.backends.{ENGINES[url.scheme]}",
        "NAME": name,
        "USER": url.username or "",
        "HOST": url.hostname or "",
        "PORT": url.port or "",
        "CONN_MAX_AGE": 0,
    }


settings.configure(DATABASES={"default": database(sys.argv[1])}, USE_TZ=True, TIME_ZONE="Europe/Berlin", INSTALLED_APPS=[])
django.setup()


class Deal(models.Model):
    """A deal."""

    name = models.CharField(max_length=100)
    won = models.BooleanField(default=False)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    closes = models.DateField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "crm"
        db_table = "crm_deal"


def make():
    """The table, with five deals."""
    with connection.schema_editor() as editor:
        editor.create_model(Deal)
    for number in range(1, 6):
        Deal.objects.create(
            name=f"Deal {number}", amount=Decimal("250000.50"), closes=datetime(2026, 12, number, tzinfo=timezone.utc).date()
        )


def win(id):
    """Somebody ticks `won`, and saves."""
    deal = Deal.objects.get(pk=id)
    deal.won = True
    deal.save()


def rename(id):
    """A button that renames many: no `save`, and so no stamp."""
    Deal.objects.filter(pk=id).update(name="Renamed")


def delete(id):
    """The application's own button."""
    Deal.objects.get(pk=id).delete()


def add(_):
    """A deal that is new, and won already."""
    Deal.objects.create(name="New", won=True, amount=Decimal("1.00"))


for word in sys.argv[2:]:
    verb, _, id = word.partition(":")
    {"win": win, "rename": rename, "delete": delete, "add": add}[verb](id) if verb != "make" else make()

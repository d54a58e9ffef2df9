"""A company, somebody who sells, two customers with an opportunity each; prints a key of the REST API."""

import sys
import time
from decimal import Decimal

from proteus import Model, Wizard, config

url, database, password = sys.argv[1:]
address = url.replace("http://", f"http://admin:{password.replace(' ', '%20').replace(chr(39), '%27')}@")
for _ in range(60):
    try:
        settings = config.set_xmlrpc(f"{address}/{database}/rpc/")
        break
    except OSError:  # it is not up yet
        time.sleep(1)
else:
    sys.exit("Tryton did not start within a minute")

User, Currency, Party, Company, Employee, Application, Opportunity = map(
    Model.get,
    ["res.user", "currency.currency", "party.party", "company.company", "company.employee", "res.user.application", "sale.opportunity"],
)
euro = Currency(name="Euro", code="EUR", symbol="E", rounding=Decimal("0.01"), digits=2)
euro.save()
us = Party(name="Us GmbH")
us.save()
wizard = Wizard("company.company.config")
wizard.execute("company")
wizard.form.party, wizard.form.currency = us, euro
wizard.execute("add")
(company,) = Company.find()
rita = Party(name="Rita Rep")
rita.save()
employee = Employee(party=rita, company=company)
employee.save()
for field, several, one in (("company", "companies", company), ("employee", "employees", employee)):
    (me,) = User.find([("login", "=", "admin")])
    getattr(me, several).append(type(one)(one.id))
    setattr(me, field, type(one)(one.id))
    me.save()
settings._context = User.get_preferences(True, {})
for name, description, amount in (("Parkers", "Rollout", 120_000), ("Nordlicht", "Support", 8_000)):
    party = Party(name=name)
    party.save()
    opportunity = Opportunity(party=party, employee=employee, description=description, amount=Decimal(amount))
    opportunity.save()
(me,) = User.find([("login", "=", "admin")])
application = Application(user=me, application="rest")
application.save()
print(application.key)

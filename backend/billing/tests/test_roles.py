"""What is asked of the database before production: can the product's role rewrite the ledger?"""

import pytest
from django.core.checks import Tags, run_checks

pytestmark = pytest.mark.django_db


def warned() -> bool:
    found = run_checks(tags=[Tags.database], include_deployment_checks=True, databases=["default"])
    return "billing.W003" in {each.id for each in found}


def test_the_products_role_is_as_it_should_be() -> None:
    assert not warned()


@pytest.mark.owner_role
def test_the_owner_is_no_role_for_the_product() -> None:
    assert warned()


@pytest.mark.owner_role
def test_the_database_is_asked_only_by_its_name() -> None:
    found = run_checks(include_deployment_checks=True)
    assert "billing.W003" not in {each.id for each in found}

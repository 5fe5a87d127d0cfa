"""Read-only views of a workspace's money: balance, transactions, usage, prices."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from backend.accounts.actors import Actor
from backend.accounts.authentication import actor_of
from backend.billing import queries
from backend.billing.models import Transfer, TransferQuerySet
from backend.billing.serializers import (
    BalanceSerializer,
    PricesSerializer,
    TransactionFilterSerializer,
    TransactionSerializer,
    UsageFilterSerializer,
    UsageSerializer,
)
from backend.http.pagination import NUMBERS, CursorPagination
from backend.http.views import PublicIdLookup
from backend.llm.catalog import catalog


class ReaderView(APIView):
    actor: Actor  # Of any role; an API key needs the scope.

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.actor = actor_of(request)
        self.actor.require("billing:read")


class BalanceView(ReaderView):
    """What the workspace has, what of it is set aside, and the credit in it."""

    @extend_schema(responses=BalanceSerializer, operation_id="billing_balance")
    def get(self, request: Request) -> Response:
        return Response(BalanceSerializer(queries.balance(self.actor.workspace_id)).data)


class UsageView(ReaderView):
    """Usage summed over days, models, agents, meters, users or API keys; by default the last 30 days, by day."""

    @extend_schema(parameters=[UsageFilterSerializer], responses=UsageSerializer, operation_id="billing_usage")
    def get(self, request: Request) -> Response:
        asked = UsageFilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        period = asked.validated_data
        groups = queries.usage(
            workspace_id=self.actor.workspace_id,
            group_by=queries.UsageGrouping(period["group_by"]),
            start=period["from"],
            end=period["to"],
        )
        return Response(
            UsageSerializer(
                {
                    **period,
                    "currency": queries.currency(self.actor.workspace_id),
                    "cost": sum((group.cost for group in groups), Decimal(0)),
                    "results": groups,
                }
            ).data
        )


class PricesView(ReaderView):
    """What each model costs per million tokens."""

    @extend_schema(responses=PricesSerializer, operation_id="billing_prices")
    def get(self, request: Request) -> Response:
        return Response(
            PricesSerializer(
                {
                    "currency": queries.currency(self.actor.workspace_id),
                    "unit": "million_tokens",
                    "results": catalog().models,
                }
            ).data
        )


class TransactionPagination(CursorPagination):
    """Newest first in the order in which the ledger posted them, so that ``balance_after`` reads as a chain."""

    ordering = "-sequence"
    position = NUMBERS


class TransactionViewSet(
    ReaderView, PublicIdLookup, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Transfer]
):
    """What was moved into and out of the wallet, newest first."""

    id_prefix = Transfer.id_prefix
    serializer_class = TransactionSerializer
    pagination_class = TransactionPagination
    queryset = Transfer.objects.none()  # For the OpenAPI schema; requests use get_queryset().

    def get_queryset(self) -> TransferQuerySet:
        return Transfer.objects.visible_to(self.actor).select_related("wallet")

    @extend_schema(parameters=[TransactionFilterSerializer])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: TransferQuerySet) -> TransferQuerySet:  # type: ignore[override]  # Narrower.
        if self.action != "list":
            return queryset
        asked = TransactionFilterSerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        lookups = {"kind": "kind", "reference": "reference", "from": "created_at__gte", "to": "created_at__lt"}
        return queryset.filter(**{lookups[name]: value for name, value in asked.validated_data.items()})

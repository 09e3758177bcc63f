"""The vendor's own description of Converse, asked whether a request has its shape."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator


@cache
def service() -> ServiceModel:
    """Bedrock's runtime API as botocore knows it."""
    description = (
        botocore.session.get_session().get_component("data_loader").load_service_model("bedrock-runtime", "service-2")
    )
    return ServiceModel(description, "bedrock-runtime")


def complaints(body: bytes, operation: str = "Converse") -> str:
    """What is wrong with a request's shape; empty if nothing. Bytes are in base64 in both."""
    shape = service().operation_model(operation).input_shape
    fields: dict[str, Any] = {"modelId": "any", **json.loads(body)}
    return str(ParamValidator().validate(fields, shape).generate_report())

"""The table of everything that is not a hot route, and the ASGI application that serves it."""

from __future__ import annotations

from typing import Any

from headgate.admin import (
    alerts,
    audit,
    batches,
    cache,
    dead_letters,
    deliveries,
    erasing,
    files,
    job_documents,
    jobs,
    keys,
    limits,
    message_batches,
    models,
    objects,
    openapi,
    operations,
    reconcile,
    routers,
    standing,
    usage,
)  # fmt: skip
from headgate.admin.asgi import ColdPaths
from headgate.admin.endpoint import Access, Endpoint, Nothing, Reply, Visit
from headgate.admin.job_shapes import EstimateView, ItemList, JobId, JobList, JobView
from headgate.admin.links import LinkedJob
from headgate.admin.services import Readiness, Services

KEY_PATH = "/admin/keys/{key_id}"
OBJECT_PATH = "/v1/cache/{namespace}/{key:path}"
JOB_PATH = "/v1/jobs/{job_id}"
FILE_PATH = "/v1/files/{file_id}"
BATCH_PATH = "/v1/batches/{batch_id}"


async def openapi_document(_visit: Visit, _: Nothing) -> Reply:
    """This API as an OpenAPI 3.1 document."""
    return Reply(openapi.document(ENDPOINTS))


FILES_AND_BATCHES: tuple[Endpoint[Any], ...] = (
    Endpoint("POST", "/v1/files", files.upload_file, Nothing, files.FileView, Access.CALLER, is_streamed=True),
    Endpoint("GET", "/v1/files", files.list_files, files.FilesQuery, files.Files, Access.CALLER),
    Endpoint("GET", FILE_PATH, files.get_file, files.FileId, files.FileView, Access.CALLER),
    Endpoint("GET", f"{FILE_PATH}/content", files.file_content, files.FileId, None, Access.CALLER),
    Endpoint("DELETE", FILE_PATH, files.delete_file, files.FileId, files.DeletedFile, Access.CALLER),
    Endpoint("POST", "/v1/batches", batches.create_batch, batches.CreateBatch, batches.BatchView, Access.CALLER),
    Endpoint("GET", "/v1/batches", batches.list_batches, batches.BatchesQuery, batches.BatchList, Access.CALLER),
    Endpoint("GET", BATCH_PATH, batches.get_batch, batches.BatchId, batches.BatchView, Access.CALLER),
    Endpoint("POST", f"{BATCH_PATH}/cancel", batches.cancel_batch, batches.BatchId, batches.BatchView, Access.CALLER),
    *message_batches.ENDPOINTS,
)
ENDPOINTS: tuple[Endpoint[Any], ...] = (
    Endpoint("GET", "/v1/models", models.list_models, models.ModelsQuery, models.ModelList, Access.CALLER),
    Endpoint("GET", "/v1/models/{model:path}", models.get_model, models.ModelId, models.Model, Access.CALLER),
    Endpoint("GET", "/v1/usage", usage.own_usage, usage.OwnUsageQuery, usage.OwnUsage, Access.CALLER),
    Endpoint("POST", "/v1/jobs", jobs.submit, jobs.SubmitJob, JobView, Access.CALLER, 202, is_large=True),
    Endpoint("GET", "/v1/jobs", jobs.list_jobs, jobs.JobsQuery, JobList, Access.CALLER),
    Endpoint(
        "POST",
        "/v1/jobs/estimate",
        job_documents.estimate,
        job_documents.AskEstimate,
        EstimateView,
        Access.CALLER,
    ),
    Endpoint("GET", JOB_PATH, jobs.get_job, JobId, JobView, Access.CALLER),
    Endpoint(
        "POST",
        f"{JOB_PATH}/requests",
        jobs.add_requests,
        jobs.AddRequests,
        JobView,
        Access.CALLER,
        is_large=True,
    ),
    Endpoint("GET", f"{JOB_PATH}/events", jobs.events, LinkedJob, None, Access.LINK),
    Endpoint("GET", f"{JOB_PATH}/partial", jobs.partial, jobs.ItemsQuery, ItemList, Access.CALLER),
    Endpoint("GET", f"{JOB_PATH}/result", jobs.result, jobs.ResultQuery, None, Access.LINK),
    Endpoint(
        "GET",
        f"{JOB_PATH}/deliveries",
        deliveries.list_deliveries,
        JobId,
        deliveries.DeliveryList,
        Access.CALLER,
    ),
    Endpoint("POST", f"{JOB_PATH}/redeliver", deliveries.redeliver, JobId, deliveries.DeliveryList, Access.CALLER),
    Endpoint("GET", "/v1/webhooks/secret", deliveries.webhook_secret, Nothing, deliveries.WebhookSecret, Access.CALLER),
    Endpoint(
        "POST",
        f"{JOB_PATH}/documents",
        job_documents.add_documents,
        job_documents.AddDocuments,
        job_documents.Documents,
        Access.CALLER,
        is_large=True,
    ),
    Endpoint(
        "POST",
        f"{JOB_PATH}/budget",
        job_documents.raise_budget,
        job_documents.RaiseBudget,
        JobView,
        Access.CALLER,
    ),
    Endpoint("GET", f"{JOB_PATH}/report", job_documents.report, job_documents.ReportQuery, None, Access.LINK),
    Endpoint("POST", f"{JOB_PATH}/pause", jobs.pause, JobId, JobView, Access.CALLER),
    Endpoint("POST", f"{JOB_PATH}/resume", jobs.resume, JobId, JobView, Access.CALLER),
    Endpoint("POST", f"{JOB_PATH}/cancel", jobs.cancel, JobId, JobView, Access.CALLER),
    Endpoint("POST", f"{JOB_PATH}/retry", jobs.retry, JobId, JobView, Access.CALLER),
    Endpoint("DELETE", JOB_PATH, erasing.erase_job, erasing.EraseJob, erasing.ErasedView, Access.CALLER),
    Endpoint(
        "PUT", OBJECT_PATH, objects.keep_object, objects.KeepObject, objects.KeptObject, Access.CALLER, is_large=True
    ),
    Endpoint("GET", OBJECT_PATH, objects.get_object, objects.ObjectId, objects.FoundObject, Access.CALLER),
    Endpoint("DELETE", OBJECT_PATH, objects.delete_object, objects.ObjectId, objects.DeletedObject, Access.CALLER),
    *FILES_AND_BATCHES,
    Endpoint("GET", "/healthz", operations.alive, Nothing, operations.Health, Access.PUBLIC),
    Endpoint("GET", "/readyz", operations.ready, Nothing, Readiness, Access.PUBLIC),
    Endpoint("GET", "/metrics", operations.metrics, Nothing, None, Access.PUBLIC),
    Endpoint("GET", "/openapi.json", openapi_document, Nothing, None, Access.PUBLIC),
    Endpoint("GET", "/admin/keys", keys.list_keys, Nothing, keys.KeyList),
    Endpoint("POST", "/admin/keys", keys.create_key, keys.CreateKey, keys.CreatedKey, status=201),
    Endpoint("GET", KEY_PATH, keys.get_key, keys.KeyId, keys.Key),
    Endpoint("PATCH", KEY_PATH, keys.expire_key, keys.ExpireKey, keys.Key),
    Endpoint("DELETE", KEY_PATH, keys.revoke_key, keys.RevokeKey, keys.Key),
    Endpoint("POST", f"{KEY_PATH}/revoke", keys.revoke_key, keys.RevokeKey, keys.Key),
    Endpoint("POST", f"{KEY_PATH}/rotate", keys.rotate_key, keys.RotateKey, keys.CreatedKey, status=201),
    Endpoint("GET", "/admin/usage", usage.usage, usage.UsageQuery, usage.Usage),
    Endpoint("GET", "/admin/usage/limits", standing.limits_of, standing.LimitsQuery, standing.LimitStandings),
    Endpoint("POST", "/admin/velocity/reset", standing.reset_velocity, standing.ResetVelocity, standing.LimitStandings),
    Endpoint("GET", "/admin/ledger", usage.ledger_page, usage.LedgerQuery, usage.LedgerPage),
    Endpoint("GET", "/admin/alerts", alerts.list_alerts, alerts.AlertQuery, alerts.AlertList),
    Endpoint("GET", "/admin/reconcile", reconcile.list_reports, reconcile.ReportsQuery, reconcile.ReportList),
    Endpoint("POST", "/admin/reconcile", reconcile.run_reconcile, reconcile.RunReconcile, reconcile.ReportList),
    Endpoint(
        "GET",
        "/admin/reconcile/adjustments",
        reconcile.list_adjustments,
        reconcile.AdjustmentsQuery,
        reconcile.AdjustmentPage,
    ),
    Endpoint("GET", "/admin/limits", limits.list_limits, limits.SettingsQuery, limits.SettingList),
    Endpoint("PUT", "/admin/limits", limits.set_limit, limits.SetLimit, limits.SettingState),
    Endpoint("DELETE", "/admin/limits", limits.unset_limit, limits.UnsetLimit, limits.SettingList),
    Endpoint("GET", "/admin/budgets", limits.list_budgets, limits.SettingsQuery, limits.SettingList),
    Endpoint("PUT", "/admin/budgets", limits.set_budget, limits.SetBudget, limits.SettingState),
    Endpoint("DELETE", "/admin/budgets", limits.unset_budget, limits.UnsetBudget, limits.SettingList),
    Endpoint("GET", "/admin/cache", cache.stats, Nothing, cache.CacheStats),
    Endpoint("GET", "/admin/cache/entries/{request_id}", cache.entry, cache.RequestId, cache.CacheEntry),
    Endpoint("POST", "/admin/cache/flush", cache.flush, cache.FlushCache, cache.Flushed),
    Endpoint(
        "GET",
        "/admin/dead-letters",
        dead_letters.list_dead_letters,
        dead_letters.DeadLettersQuery,
        dead_letters.DeadLetterList,
    ),
    Endpoint(
        "POST",
        "/admin/dead-letters/redrive",
        dead_letters.redrive,
        dead_letters.RedriveDeadLetters,
        dead_letters.MovedDeadLetters,
    ),
    Endpoint(
        "POST",
        "/admin/dead-letters/drop",
        dead_letters.drop,
        dead_letters.DropDeadLetters,
        dead_letters.MovedDeadLetters,
    ),
    Endpoint(
        "GET",
        "/admin/dead-letters/{id}",
        dead_letters.get_dead_letter,
        dead_letters.DeadLetterId,
        dead_letters.DeadLetterView,
    ),
    Endpoint("POST", "/admin/erase", erasing.erase, erasing.Erase, erasing.ErasedView),
    Endpoint("GET", "/admin/audit", audit.trail, audit.AuditQuery, audit.Trail),
    Endpoint("POST", "/v1/appeal", routers.appeal, routers.Appeal, None, Access.CALLER),
    Endpoint("POST", "/admin/route/explain", routers.explain_route, routers.ExplainRoute, routers.ExplainedRoute),
    Endpoint("GET", "/admin/route/stats", routers.route_stats, Nothing, routers.RouteStats),
    Endpoint("POST", "/admin/route/gate", routers.turn_router, routers.TurnRouter, routers.RouterState),
    Endpoint("GET", "/admin/route/judgements", routers.judgements, routers.JudgementQuery, routers.JudgementPage),
    Endpoint("GET", "/admin/deployments", operations.deployments, Nothing, operations.DeploymentList),
    Endpoint("GET", "/admin/config", operations.config_state, Nothing, operations.ConfigState),
    Endpoint("GET", "/admin/config/diff", operations.config_difference, Nothing, operations.ConfigDifference),
    Endpoint("POST", "/admin/reload", operations.reload, operations.Reload, operations.Reloaded),
)
METRICS_ENDPOINTS: tuple[Endpoint[Any], ...] = (
    Endpoint("GET", "/metrics", operations.own_metrics, Nothing, None, Access.PUBLIC),
    Endpoint("GET", "/healthz", operations.alive, Nothing, operations.Health, Access.PUBLIC),
    Endpoint("GET", "/readyz", operations.ready, Nothing, Readiness, Access.PUBLIC),
)


def build_asgi(services: Services) -> ColdPaths:
    """Every URL but the hot routes."""
    return ColdPaths(services, ENDPOINTS)


def build_metrics_asgi(services: Services) -> ColdPaths:
    """What the listener of its own for metrics serves."""
    return ColdPaths(services, METRICS_ENDPOINTS)

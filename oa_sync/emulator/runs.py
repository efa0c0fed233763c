"""Starting agent runs, in both dialects."""

from __future__ import annotations

from oa_sync.clock import isoformat
from oa_sync.emulator.calls import Call
from oa_sync.emulator.replies import Reply


async def start_by_task(call: Call) -> Reply:
    """POST /agents/run of the page dialect."""
    body = await call.json_object()
    fields = {name: call.text(body, name, minimum=1) for name in ("agent_id", "task")}
    context = call.field(body, "context", dict)
    url = call.uri(body, "webhook_url")
    run_id = call.emulator.runs.start({**fields, "context": context or {}}, url)
    return Reply.of(202, {"run_id": run_id, "status": "queued"})


async def start_by_prompt(call: Call) -> Reply:
    """POST /agents/run of the cursor dialect."""
    body = await call.json_object()
    prompt = call.text(body, "prompt", minimum=1)
    datasets = call.texts(body, "dataset_ids")
    model = call.field(body, "model", str)
    call.positive(body, "max_steps")
    context = {"dataset_ids": datasets or []}
    fields = {"agent_id": "agent_default", "task": prompt, "model": model, "context": context}
    run_id = call.emulator.runs.start(fields, None)
    created = isoformat(call.emulator.clock.now())
    return Reply.of(202, {"id": run_id, "status": "queued", "created_at": created})

"""Commands of ours that CuPy has no name for. Their names start with "@". Devices implement them in code of their own."""

from __future__ import annotations

from cupool.contract.ops._row import op
from cupool.contract.ops.rules.kernels import from_pointer, kernel_outputs, kernel_reduced, nothing

# -- bringing data in and out ---------------------------------------------------------------------------------------
op(
    "@upload",
    "(transfer)",
    outs=1,
    repeat="exact",
    note="array from the bytes of a Put transfer; spec from the form's result",
)
op("@array", "(data)", outs=1, repeat="exact", note="array from inline bytes; spec from the form's result")
op(
    "@fetch",
    "(a)",
    host=True,
    repeat="same-fingerprint",
    note="array as a host value, C order; for values up to inline_bytes",
)
op(
    "@export",
    "(a, transfer)",
    host=True,
    note="make the bytes (C order) of `a` ready for Get under `transfer`; replies their number",
)
op("@spec", "(a)", host=True, note="reply (dtype, shape, strides)")
op("@barrier", "()", host=True, uses=("stream",), note="reply when everything before has completed on the device")
# -- views ----------------------------------------------------------------------------------------------------------
op("@view", "(a, offset)", view_of="a", repeat="exact", note="view with the result's spec, `offset` bytes from a's first element; "
   "bounds are checked against a's buffer")  # fmt: skip
op("@alias", "(a)", view_of="a", repeat="exact", note="a second handle for the same array")
op(
    "@pointer",
    "(a)",
    host=True,
    repeat="exact",
    note="expose a's buffer in the arena; reply the address of its first element",
)
op(
    "@from_pointer",
    "(address, dtype, shape, strides)",
    from_pointer,
    view_of="address",
    varying=("address",),
    repeat="exact",
    note="view of device memory in use, first element at `address`; illegal ranges fail",
)
# -- session --------------------------------------------------------------------------------------------------------
op("@forms_reset", "()", repeat="exact", note="forget every form defined before this batch")
op(
    "@memory",
    "()",
    host=True,
    uses=("pool",),
    repeat="recorded",
    note="reply {used, total, free, limit, device_free, device_total}",
)
op("@free_blocks", "()", uses=("pool",), repeat="exact", note="MemoryPool.free_all_blocks")
op("@set_limit", "(size, fraction)", uses=("pool",), repeat="exact", note="MemoryPool.set_limit")
op("@malloc", "(nbytes, source)", object="memory", uses=("pool",), repeat="exact",
   note="raw memory under a handle, as a uint8 array; its address where a reply asks; source: see cupool.contract.memory")  # fmt: skip
op("@mempool", "(what, pool, attribute, value)", host=True, uses=("pool",), repeat="recorded",
   note="a device memory pool: what is create, destroy, get, set or trim")  # fmt: skip
op("@fault", "(kind)", repeat="none", note="for tests; refused unless the server was started with --allow-faults")
op("@lift", "()", repeat="exact", note="buffers that failed before their kernel ran hold what they held, and may be read again: "
   "the program has that error")  # fmt: skip
# -- streams and events ---------------------------------------------------------------------------------------------
op("@stream_create", "(stream, non_blocking, priority)", uses=("stream",), repeat="exact")
op("@stream_destroy", "(stream)", uses=("stream",), repeat="exact")
op(
    "@stream_query",
    "(stream)",
    host=True,
    uses=("stream",),
    repeat="recorded",
    note="reply: everything on it has completed",
)
op("@event_create", "(flags)", uses=("event",), repeat="exact", object="event")
op("@event_record", "(event)", uses=("event", "stream"), repeat="recorded", note="on the command's stream")
op("@event_query", "(event)", host=True, uses=("event",), repeat="recorded")
op("@event_wait", "(event)", host=True, uses=("event",), repeat="exact", note="reply when the event has happened")
op("@event_elapsed", "(start, end)", host=True, uses=("event",), repeat="recorded", note="reply milliseconds")
op("@stream_wait_event", "(event)", uses=("event", "stream"), repeat="exact", note="the command's stream waits")
# -- captures: commands of a stream recorded by the server, and launched again and again (see apiserver/captures.py) -------
op(
    "@capture_begin",
    "(capture, stream)",
    uses=("stream",),
    repeat="exact",
    note="plain commands on the stream are recorded",
)
op("@capture_join", "(capture, stream)", uses=("stream",), repeat="exact", note="and those on another stream")
op("@capture_end", "(capture)", object="graph", uses=("stream",), repeat="exact")
op(
    "@capture_abort",
    "(capture)",
    uses=("stream",),
    repeat="exact",
    note="what was recorded is forgotten; its results stay undefined",
)
op("@graph_launch", "(graph)", uses=("stream",), note="run what was recorded; writes what its commands write")
op("@graph_nodes", "(graph)", host=True, repeat="exact", note="reply [(op, specs of its results)]")
# -- kernels (sources go by content, once per session; see apiserver/devices) ------------------------------------------
op("@kernel_raw", "(source, options, backend, translate_cucomplex, enable_cooperative_groups, jitify, name_expressions, headers)",
   object="module", repeat="exact", note="RawModule: source text; headers: name -> text, read on the client along -I")  # fmt: skip
op(
    "@kernel_binary",
    "(image)",
    object="module",
    repeat="exact",
    note="RawModule(path=…): cubin or PTX bytes read on the client",
)
op("@kernel_function", "(module, name)", object="function", repeat="exact")
op(
    "@kernel_attributes",
    "(function)",
    host=True,
    repeat="exact",
    note="reply a mapping of CuPy's attribute names; -1: not known here",
)
op("@kernel_set_attribute", "(function, name, value)", nothing, repeat="exact")
op(
    "@kernel_global",
    "(module, name)",
    host=True,
    repeat="exact",
    note="reply (address, nbytes) of a module global; nbytes 0: not known",
)
op(
    "@kernel_compile",
    "(module, log=False)",
    host=True,
    repeat="exact",
    note="compile a module or function now, or fail with CompileException; reply {kernels: names that @kernel_function takes, or None "
    "where the device does not list them; log: with `log`, what the compiler says}",
)
op(
    "@kernel_output",
    "()",
    host=True,
    repeat="recorded",
    note="reply what kernels have printed since the last time, at most 1 MiB",
)
op("@compile", "(source, options, arch, name, name_expressions, headers)", host=True, repeat="exact",
   note="reply (image, names of the expressions' kernels); arch empty: the device's")  # fmt: skip
op("@launch", "(function, grid, block, args, shared_mem)", nothing, writes=("args",), uses=("stream",), repeat="same-fingerprint",
   varying=("grid", "block", "args", "shared_mem"), arrays=("args",),
   note="a raw kernel may follow pointers: it may write the whole arena, not its arguments alone")  # fmt: skip
op("@kernel_elementwise", "(in_params, out_params, operation, name, reduce_dims, preamble, loop_prep, after_loop, options)",
   object="elementwise", repeat="exact")  # fmt: skip
op("@call_elementwise", "(kernel, args, types, shape, outs, size, block_size, out=None)", kernel_outputs, writes=("out",),
   arrays=("args", "out"), varying=("args",), uses=("stream",),
   note="args: the inputs; types: type parameter -> dtype; outs: dtypes of the outputs; out: all outputs, or None: they are made. "
   "What raw arguments point to may be written: it lies in the arena")  # fmt: skip
op("@kernel_reduction", "(in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name, reduce_type, reduce_dims, "
   "preamble, options)", object="reduction", repeat="exact")  # fmt: skip
op("@call_reduction", "(kernel, args, types, axis, keepdims, shape, outs, out=None)", kernel_reduced, writes=("out",),
   arrays=("args", "out"), varying=("args",), uses=("stream",),
   note="axis: the reduced axes of the broadcast inputs, ascending; shape: of the result; the rest as @call_elementwise")  # fmt: skip
# -- functions of the program's that run on the server (see apiserver/offload.py) -------------------------------------------
op("@offload_function", "(code, name, file, python)", object="function", uses=("event", "pool", "rng", "stream"), repeat="none",
   note="a function from a pickle; refused unless the session's tenant may. Its globals are state of the server's process")  # fmt: skip
op("@offload", "(function, arrays, arguments)", writes=("arrays",), arrays=("arrays",), uses=("event", "pool", "rng", "stream"),
   repeat="none", note="run a function; arguments: a pickle in which arrays go by number. Results: an object with the arrays "
   "that it returned and a reply with their structure, or so many arrays. It may write what it has seen")  # fmt: skip
op("@offload_result", "(results, index)", view_of="results", repeat="exact", note="an array that a function returned")
op("@offload_output", "()", host=True, repeat="recorded", note="reply what functions have printed since the last time")

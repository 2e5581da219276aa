-- What run.py reads from wrk: one line of JSON at the end of a run.
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "bytes": %d, "p50_us": %d, "p99_us": %d, ' ..
        '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end

-- The argument is the size of the requests' bodies; 0: they have none.
function init(args)
    local body_bytes = tonumber(args[1])
    if body_bytes > 0 then
        wrk.method = "POST"
        wrk.body = string.rep("y", body_bytes)
    end
end

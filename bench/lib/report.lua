-- For wrk: an optional body as the script's argument, and a summary in JSON at the end.

function init(args)
    if args[1] then
        wrk.method = "POST"
        wrk.body = args[1]
        wrk.headers["Content-Type"] = "application/json"
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"ok": %d, "seconds": %.6f, "p50": %.1f, "p90": %.1f, "p99": %.1f, "p999": %.1f, ' ..
        '"max": %.1f, "errors": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(90),
        latency:percentile(99), latency:percentile(99.9), latency.max,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

-- Usage: wrk … -s cql.lua URL -- ROUND
-- One new row a request; ends with one machine-readable line.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local headers = { ["Content-Type"] = "application/json", ["X-Athena-Client"] = "bench" }

-- An upsert without rows in its answer is one plain INSERT, as the bare driver's.
local row = '{"table_name":"inserts","on_conflict":"id","head":true,'
  .. '"insert_body":{"id":%d,"kind":"kind_%02d","amount":%d.25,"note":"a note of some length, as notes are"}}'

local count = 0

function init(args)
  local base = (100 + tonumber(args[1]) * 10 + number) * 10000000
  request = function()
    count = count + 1
    return wrk.format("PUT", nil, headers, row:format(base + count, count % 100, count % 1000))
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(("RESULT\t%d\t%d\t%.0f\t%.0f\t%d\n"):format(
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end

-- Usage: wrk … -s cql.lua URL -- ROUND ROWS
-- So many new rows of one partition a request; ends with one machine-readable line.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local headers = {
  ["Content-Type"] = "application/json",
  ["X-Athena-Client"] = "bench",
  ["X-Company-Id"] = "bench",
  ["X-Organization-Id"] = "bench",
}

-- An upsert without rows in its answer is a plain INSERT, or a batch of them, as the bare driver's.
local body = '{"table_name":"inserts","on_conflict":["part","id"],"head":true,"insert_body":%s}'
local row = '{"part":%d,"id":%d,"kind":"kind_%02d","amount":%d.25,"note":"a note of some length, as notes are"}'

local count = 0

function init(args)
  local base = (100 + tonumber(args[1]) * 10 + number) * 10000000
  local rows = tonumber(args[2])
  request = function()
    count = count + 1
    local part, all = base + count, {}
    for id = 0, rows - 1 do
      all[#all + 1] = row:format(part, id, id % 100, count % 1000)
    end
    local list = rows == 1 and all[1] or ("[" .. table.concat(all, ",") .. "]")
    return wrk.format("PUT", nil, headers, body:format(list))
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(("RESULT\t%d\t%d\t%.0f\t%.0f\t%d\n"):format(
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end

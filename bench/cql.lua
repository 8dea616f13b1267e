-- Usage: wrk … -s cql.lua URL -- FIRST ROWS REQUESTS SPREAD
-- So many rows a request, of one partition or, where SPREAD is 1, each of its own; ends with one machine-readable line.
-- The requests are made before the clock runs, and sent again and again: making them would cost more of the machine
-- than what is measured.

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

function init(args)
  local first, rows, requests = tonumber(args[1]), tonumber(args[2]), tonumber(args[3]) / 2
  local spread = args[4] == "1"
  local all = {}
  for nth = 0, requests - 1 do
    local request, of_request = first + (number - 1) * requests + nth, {}
    for id = 0, rows - 1 do
      local part = spread and (request * rows + id) or request
      of_request[#of_request + 1] = row:format(part, id, id % 100, request % 1000)
    end
    local list = rows == 1 and of_request[1] or ("[" .. table.concat(of_request, ",") .. "]")
    all[#all + 1] = wrk.format("PUT", nil, headers, body:format(list))
  end
  local nth = 0
  request = function()
    nth = nth % #all + 1
    return all[nth]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(("RESULT\t%d\t%d\t%.0f\t%.0f\t%d\n"):format(
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end

-- Usage: wrk … -s wrk.lua URL -- plain | point | page LIMIT
-- Random ids and kinds; ends with one machine-readable line. BENCH_DELAY_MS is a pause of every connection before
-- each request.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("seed", os.time() * 10 + threads)
end

local headers = {
  ["Content-Type"] = "application/json",
  ["X-Athena-Client"] = "bench",
  -- The database is measured, never a cache in front of it.
  ["Cache-Control"] = "no-cache, no-store",
  -- Absent unless keys are demanded.
  ["X-Athena-Key"] = os.getenv("BENCH_API_KEY"),
}

local point = '{"table_name":"events","conditions":[{"eq_column":"id","eq_value":%d}],"limit":1}'
local page = '{"table_name":"events","conditions":[{"eq_column":"kind","eq_value":"kind_%02d"}],"limit":%d}'

function init(args)
  math.randomseed(seed)
  local mode, limit = args[1], tonumber(args[2])
  if mode == "point" then
    request = function()
      return wrk.format("POST", nil, headers, point:format(math.random(500000)))
    end
  elseif mode == "page" then
    request = function()
      return wrk.format("POST", nil, headers, page:format(math.random(0, 99), limit))
    end
  end
end

local pause = tonumber(os.getenv("BENCH_DELAY_MS"))
if pause then
  function delay()
    return pause
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(("RESULT\t%d\t%d\t%.0f\t%.0f\t%d\t%d\n"):format(
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status, latency.max))
end

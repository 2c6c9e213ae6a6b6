-- wrk's side of benchmarks/load.py: sends a request again and again, each time with another SKU and a key never used.
-- Arguments: the file with the request, how many SKUs, a word that makes this run's keys its own.
local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("id", threads)
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local text = file:read("*a")
   file:close()
   skus, run, sent, parts, names = tonumber(args[2]), args[3], 0, {}, {}
   math.randomseed(os.time() + id * 7919)
   local from = 1
   while true do
      local first, last, name = text:find("{(%l+)}", from)
      if not first then break end
      parts[#parts + 1], names[#names + 1], from = text:sub(from, first - 1), name, last + 1
   end
   parts[#parts + 1] = text:sub(from)
end

function request()
   sent = sent + 1
   local filled = {}
   for place, name in ipairs(names) do
      filled[#filled + 1] = parts[place]
      if name == "sku" then
         filled[#filled + 1] = string.format("%05d", math.random(skus))
      else
         filled[#filled + 1] = string.format("%s-%02d-%020d", run, id, sent)
      end
   end
   filled[#filled + 1] = parts[#parts]
   return table.concat(filled)
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"answers": %d, "seconds": %f, "failed": %d, "p50": %f, "p95": %f, "p99": %f, "most": %f}\n',
      summary.requests, summary.duration / 1e6,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end

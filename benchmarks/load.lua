-- For wrk: `wrk -s load.lua URL -- [get | upload | fresh | tokens FILE]`. Prints one line of JSON with what wrk's own
-- summary says in words. `fresh` gives every request a field of its own, so that no two heads are the same. `tokens`
-- sends the tokens of FILE, one a line, in turns over all connections, each request made up before the first is sent.
-- wrk makes its one request from these after init()
function init(args)
  if args[1] == "upload" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.body = string.rep("x", 1048576)
  elseif args[1] == "fresh" then
    local parts, count = nil, 0
    function request()
      if not parts then
        wrk.headers["X-Trace"] = "@"
        local whole = wrk.format()
        local at = string.find(whole, "@", 1, true)
        parts = { string.sub(whole, 1, at - 1), string.sub(whole, at + 1) }
      end
      count = count + 1
      return parts[1] .. count .. parts[2]
    end
  elseif args[1] == "tokens" then
    local requests, count = {}, 0
    for token in io.lines(args[2]) do
      wrk.headers["Authorization"] = "Bearer " .. token
      requests[#requests + 1] = wrk.format()
    end
    function request()
      count = count % #requests + 1
      return requests[count]
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "RESULT {\"requests\": %d, \"microseconds\": %d, \"bytes\": %d, \"status\": %d, \"connect\": %d, \"read\": %d, \"write\": %d, \"timeout\": %d}\n",
    summary.requests, summary.duration, summary.bytes,
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end

-- One kind of request for wrk, told by environment variables; prints one line of figures.
-- BODY may hold {NAME} and {TOKEN}; TOKENS is a file of a token a line. With NEXT, the name of a field,
-- each token is used once and its successor is taken from the answer.

local method, path = os.getenv("METHOD"), os.getenv("TARGET")
local body, scheme, next_field = os.getenv("BODY"), os.getenv("SCHEME"), os.getenv("NEXT")
local names, first = tonumber(os.getenv("NAMES") or "0"), tonumber(os.getenv("FIRST") or "0")
local prefix = os.getenv("PREFIX") or ""
local pattern = next_field and ('"' .. next_field .. '": ?"([^"]+)"')
local tokens, number = {}, first

function init(arguments)
  for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = line end
end

function request()
  number = number + 1
  local token = ""
  if next_field then
    token = table.remove(tokens, 1) or "none-left"
  elseif #tokens > 0 then
    token = tokens[number % #tokens + 1]
  end
  -- As a proxy in front would tell of many clients.
  local client = "10." .. number % 200 .. "." .. math.floor(number / 200) % 250 .. ".7"
  local headers = {
    ["Content-Type"] = "application/json",
    ["X-Forwarded-Proto"] = "https",
    ["X-Forwarded-For"] = client,
  }
  if scheme then headers["Authorization"] = scheme .. " " .. token end
  local filled = nil
  if body then
    local name = prefix .. (names > 0 and number % names or number)
    filled = body:gsub("{NAME}", name):gsub("{TOKEN}", token)
  end
  return wrk.format(method, path, headers, filled)
end

if next_field then
  function response(status, headers, answer)
    local token = answer:match(pattern)
    if status == 200 and token then tokens[#tokens + 1] = token end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nFIGURES {"requests": %d, "refused": %d, "broken": %d, "microseconds": %d, "p50": %d, "p99": %d}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99)))
end

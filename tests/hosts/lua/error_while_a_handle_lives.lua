-- A program that dies of an error while it holds handles, and while nothing but these still knows the module: what LuaJIT then
-- collects first is its own choice.
--
-- arg[1]: "idle" holds a client; "busy" one with a job and an image; "careless" has a client made by hand, with a library that is
-- kept in a local. arg[2]: "collected" drops them before the end.

local function idle()
  return assert(require("imgtask").client { provider = "dimilinks", poll_interval_ms = 20 })
end

local function busy()
  local client = idle()
  client:start { request = { prompt = "a cat", size = "64x48" } }
  local event = assert(client:poll(20000))
  assert(event.image, event.error)
  client:start { request = { prompt = "a cat [never]" } }
  return { client, event }
end

local function careless()
  local ffi = require "ffi"
  ffi.cdef(require("imgtask_abi").cdef)
  local C = ffi.load(os.getenv "IMGTASK_LIBRARY")
  local options, client = ffi.new "imgtask_client_options", ffi.new "imgtask_client *[1]"
  options.struct_size = ffi.sizeof(options)
  options.provider = "dimilinks"
  assert(C.imgtask_client_create(options, client, nil) == 0)
  return ffi.gc(client[0], C.imgtask_client_free)
end

kept = ({ idle = idle, busy = busy, careless = careless })[arg[1]]()
package.loaded.imgtask, package.loaded.imgtask_abi = nil, nil
collectgarbage()
collectgarbage()
if arg[2] == "collected" then
  kept = nil
  collectgarbage()
  collectgarbage()
end
error "the game is broken"

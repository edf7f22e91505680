--- imgtask for LuaJIT and LÖVE: gets your image back from an asynchronous image API.
--
--     local imgtask = require "imgtask"
--     local client = assert(imgtask.client "dimilinks")          -- the key: DIMILINKS_API_KEY
--     client:start { request = { prompt = "a lighthouse at dusk" }, label = "lighthouse", progress = true }
--     -- once a frame:
--     for event in client:events(8) do
--       if event.kind == "final" and event.image then use(event.image:bytes()) end    -- event.pixels with goal = "pixels"
--     end
--
-- README.md beside this file says the rest. Copy imgtask.lua, imgtask_abi.lua and the library into your game.

local ffi = require "ffi"
local abi = require(((...) or "imgtask"):gsub("imgtask$", "imgtask_abi") .. "")

local imgtask = {}

-- The library stays in a global. LuaJIT unloads one that nobody holds, and may do so before it runs the finalizers of the
-- handles, which are functions of the library.
local GLOBAL = "imgtask_library"

--- What went wrong: `status`, `message`, `http_status`, `retry_after_ms`, `provider_code`, `request_id`, `task_id`.
-- tostring() gives the message.
local Error = {}
Error.__index = Error

function Error:__tostring()
  return self.message
end

function Error.__concat(left, right)
  return tostring(left) .. tostring(right)
end

local function words(values)
  local reversed = {}
  for word, value in pairs(values) do
    reversed[value] = word
  end
  return reversed
end

local WORDS = {}
for _, enum in ipairs { "task_state", "failure_action", "goal", "event_kind", "bytes_format", "confidence" } do
  WORDS[enum] = words(abi[enum])
end

--- A misuse, told at the line that made it: `depth` functions above the one that calls this.
local function misuse(depth, text, ...)
  error("imgtask: " .. text:format(...), depth + 2)
end

---------------------------------------------------------------------------------------------------------------------------
-- The library

local NAMES = { Windows = { "imgtask.dll" }, OSX = { "libimgtask.dylib" } }

--- The folders where a game keeps its library, before the system is asked.
local function folders()
  local found = {}
  local function add(get)
    local good, folder = pcall(get)
    if good and folder and folder ~= "" then
      found[#found + 1] = folder
    end
  end
  local love = rawget(_G, "love")
  local files = type(love) == "table" and love.filesystem
  if files then
    -- A library inside a .love file cannot be loaded: it lies beside it, or was copied to the save folder.
    for _, get in ipairs { files.getSource, files.getSourceBaseDirectory, files.getSaveDirectory } do
      add(get)
    end
  end
  add(function()
    return debug.getinfo(words, "S").source:match "^@(.*)[/\\][^/\\]*$" or "."
  end)
  return found
end

local function is_file(path)
  local file = io.open(path, "rb")
  -- A folder opens, too, but gives nothing to read.
  local good = file ~= nil and file:read(1) ~= nil
  if file then
    file:close()
  end
  return good
end

--- Whether a library is the one that this module was made for.
local function unfit(C)
  local good, number = pcall(function()
    return C.imgtask_abi_version()
  end)
  if not good then
    return "it is not imgtask"
  end
  local version = ffi.string(C.imgtask_version())
  local major, minor, patch = version:match "^(%d+)%.(%d+)%.(%d+)"
  if number ~= abi.abi_version then
    return ("version %s has ABI %d, this module needs ABI %d"):format(version, number, abi.abi_version)
  end
  for i, part in ipairs { major, minor, patch } do
    local needed = abi.version[i]
    if tonumber(part) ~= needed then
      return tonumber(part) < needed
        and ("version %s is older than %s"):format(version, table.concat(abi.version, "."))
        or nil
    end
  end
end

local function no_library(text)
  return nil, setmetatable({ status = "no_library", message = text, http_status = 0, retry_after_ms = -1 }, Error)
end

--- Loads the native library now; the first client does it otherwise. Looks at `path`, else at the file that the variable
-- IMGTASK_LIBRARY names, else in the game's source folder, beside the game, in its save folder and beside this module, else
-- asks the system. A place that was named is the only one tried.
--
-- Gives true, or nil and an error with the status "no_library" that tells every place that was tried.
function imgtask.load(path)
  if rawget(_G, GLOBAL) then
    return true
  end
  if not pcall(ffi.typeof, "imgtask_job") then
    ffi.cdef(abi.cdef)
  end
  local tried = {}
  local function try(place)
    local good, C = pcall(ffi.load, place)
    local why = good and unfit(C) or not good and tostring(C)
    if why then
      tried[#tried + 1] = place .. ": " .. why
      return false
    end
    rawset(_G, GLOBAL, C)
    return true
  end

  local named = path or os.getenv "IMGTASK_LIBRARY"
  if named and named ~= "" then
    if try(named) then
      return true
    end
    return no_library("the imgtask library cannot be used: " .. tried[1])
  end
  local names = NAMES[ffi.os] or { "libimgtask.so", "libimgtask.so." .. abi.abi_version }
  for _, folder in ipairs(folders()) do
    for _, name in ipairs(names) do
      local place = folder .. "/" .. name
      if not is_file(place) then
        tried[#tried + 1] = place .. ": there is no such file"
      elseif try(place) then
        return true
      end
    end
  end
  for i = #names, 1, -1 do
    if try(names[i]) then
      return true
    end
  end
  return no_library(
    "the imgtask library was not found; name its file in IMGTASK_LIBRARY or with imgtask.load(path). Tried:\n  "
      .. table.concat(tried, "\n  ")
  )
end

local function library()
  return rawget(_G, GLOBAL) or misuse(2, "no library is loaded: imgtask.load() or a client comes first")
end

--- The library's version: "0.1.0".
function imgtask.version()
  return ffi.string(library().imgtask_version())
end

--- Clients, tasks, images and errors that are not freed or collected yet: 0 at the end of a test that leaks nothing.
function imgtask.live_handles()
  return tonumber(library().imgtask_debug_live_handles())
end

---------------------------------------------------------------------------------------------------------------------------
-- Structs and errors

local function sized(name)
  local struct = ffi.new(name)
  struct.struct_size = ffi.sizeof(name)
  return struct
end

local function word_of(status)
  return ffi.string(library().imgtask_status_name(status))
end

--- The members of a struct as a table: enums as words, flags as booleans, all else as numbers and strings.
local function read(struct, name)
  local values = {}
  for field, kind in pairs(abi[name]) do
    local value = struct[field]
    if kind == "text" then
      values[field] = ffi.string(value)
    elseif kind == "boolean" then
      values[field] = value ~= 0
    elseif kind == "status" then
      values[field] = word_of(value)
    elseif WORDS[kind] then
      values[field] = WORDS[kind][tonumber(value)] or "unknown"
    elseif kind == "number" then
      values[field] = tonumber(value)
    end
  end
  return values
end

-- Calls that give a status alone: what it means there.
local SAYS = {
  busy = "too many jobs wait for their final event to be taken",
  closed = "the client is closed",
  unknown_op = "there is no such job, or its final event was taken",
  unsupported = "this build or this provider cannot do that",
  wrong_process = "the client belongs to the process that was forked from",
}

--- An error as a value; frees its handle.
local function failure(status, handle, call)
  local values
  if handle ~= nil then
    local info = sized "imgtask_error_info"
    library().imgtask_error_get(handle, info)
    values = read(info, "imgtask_error_info")
    library().imgtask_error_free(handle)
  else
    local word = word_of(status)
    values = { status = word, message = SAYS[word] or ("%s: %s"):format(call, word), http_status = 0, retry_after_ms = -1 }
  end
  return setmetatable(values, Error)
end

local function text(value, what, depth)
  if type(value) ~= "string" or value:find("\0", 1, true) then
    misuse(depth + 1, "%s must be a string without NUL", what)
  end
  return value
end

local function whole(value, what, depth)
  if type(value) ~= "number" or value < 0 or value > 2 ^ 53 or value % 1 ~= 0 then
    misuse(depth + 1, "%s must be a whole number that is not negative", what)
  end
  return value
end

local function timeout(value, what, depth)
  if value == nil then
    return abi.timeout_default
  end
  return math.min(whole(value, what, depth + 1), abi.timeout_default)
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

--- A value as JSON: a table with a first element is a list, any other an object. `depth`: of the value, and of the line to blame.
local function json(value, depth)
  local kind = type(value)
  if depth > 64 then
    misuse(depth + 1, "a request is nested too deep")
  elseif kind == "string" then
    local escaped = value:gsub('[%c"\\]', function(c)
      return ESCAPES[c] or ("\\u%04x"):format(c:byte())
    end)
    return '"' .. escaped .. '"'
  elseif kind == "boolean" then
    return tostring(value)
  elseif kind == "number" and value == value and math.abs(value) ~= math.huge then
    return (value % 1 == 0 and math.abs(value) < 2 ^ 53) and ("%d"):format(value) or ("%.17g"):format(value)
  elseif kind == "table" then
    local parts = {}
    if value[1] ~= nil then
      for i, item in ipairs(value) do
        parts[i] = json(item, depth + 1)
      end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for key, item in pairs(value) do
      if type(key) ~= "string" then
        misuse(depth + 1, "the members of a request have names, not %s", tostring(key))
      end
      parts[#parts + 1] = json(key, depth + 1) .. ":" .. json(item, depth + 1)
    end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  misuse(depth + 1, "a request cannot hold %s", kind == "number" and tostring(value) or "a " .. kind)
end

--- A request as the library wants it: a table becomes JSON, a string is JSON already.
local function request_json(request, depth)
  -- Not in a tail call, which would hide the line of a misuse.
  local made = type(request) == "table" and json(request, depth + 1) or text(request, "request", depth + 1)
  return made
end

--- What a request becomes: strings, numbers, booleans, lists, and tables with names, as JSON. A table without elements is an object.
function imgtask.json(value)
  local made = json(value, 1)
  return made
end

---------------------------------------------------------------------------------------------------------------------------
-- Tasks and images

--- A task as it was seen: the members of imgtask_task_info.
local Task = {}
Task.__index = Task

local function task_of(handle)
  if handle == nil then
    return nil
  end
  local C, info = library(), sized "imgtask_task_info"
  C.imgtask_task_get(handle, info)
  local task = read(info, "imgtask_task_info")
  task.handle = ffi.gc(handle, C.imgtask_task_free)
  return setmetatable(task, Task)
end

--- One image of the task, below `image_count`: the members of imgtask_image_info, or nil.
function Task:image(index)
  local info = sized "imgtask_image_info"
  if library().imgtask_task_get_image(self.handle, whole(index or 0, "index", 1), info) ~= abi.status.ok then
    return nil
  end
  return read(info, "imgtask_image_info")
end

--- The body that the service sent, as it came.
function Task:json()
  local length = ffi.new "size_t[1]"
  local body = library().imgtask_task_json(self.handle, length)
  return ffi.string(body, length[0])
end

--- An image: the members of imgtask_bytes_info but for its data, which `bytes` and `pointer` give. With the `format` "encoded" that
-- is the image file, with "rgba8" or "bgra8" its pixels, `row_bytes` from one row to the next.
local Image = {}
Image.__index = Image

local function image_of(handle)
  if handle == nil then
    return nil
  end
  local C, info = library(), sized "imgtask_bytes_info"
  C.imgtask_bytes_get(handle, info)
  local image = read(info, "imgtask_bytes_info")
  image.handle = ffi.gc(handle, C.imgtask_bytes_free)
  return setmetatable(image, Image)
end

--- The image file, or the pixels, as a string; nil for an image that went to a file.
function Image:bytes()
  local pointer, length = self:pointer()
  return pointer and ffi.string(pointer, length)
end

--- The image file, or the pixels, where they lie, and their length: good as long as `self` lives and was not freed. nil for one in a file.
function Image:pointer()
  if self.handle == nil then
    misuse(1, "the image was freed")
  end
  local info = sized "imgtask_bytes_info"
  library().imgtask_bytes_get(self.handle, info)
  if info.data == nil then
    return nil
  end
  return info.data, self.len
end

local SHAPE = { flip_y = true, bgra = true, premultiply = true }

--- The bits of imgtask_flag for how pixels lie.
local function shape(options)
  local flags = 0
  for name in pairs(SHAPE) do
    flags = flags + (options[name] and abi.flag[name] or 0)
  end
  return flags
end

--- Decodes an image file to pixels on this thread: for tools and tests; in a game take the goal "pixels". `options` are `max_side`,
-- `flip_y`, `bgra`, `premultiply`. Gives the pixels, or nil and an error.
function Image:decode(options)
  options = options or {}
  for field in pairs(options) do
    if field ~= "max_side" and not SHAPE[field] then
      misuse(1, "decoding has no %s", tostring(field))
    end
  end
  if self.handle == nil then
    misuse(1, "the image was freed")
  end
  local side = whole(options.max_side or 0, "max_side", 1)
  local out, wrong = ffi.new "imgtask_bytes *[1]", ffi.new "imgtask_error *[1]"
  local status = library().imgtask_bytes_decode(self.handle, side, shape(options), out, wrong)
  if status ~= abi.status.ok then
    return nil, failure(status, wrong[0], "imgtask_bytes_decode")
  end
  return image_of(out[0])
end

--- Frees the bytes now instead of when they are collected: the collector does not know how large they are.
function Image:free()
  if self.handle ~= nil then
    library().imgtask_bytes_free(ffi.gc(self.handle, nil))
    self.handle = nil
  end
end

---------------------------------------------------------------------------------------------------------------------------
-- The client

local Client = {}
Client.__index = Client

-- What a struct points to while the library reads it: a string that only a struct points to would be collected.
local held = {}

local function set(struct, name, values, depth)
  for field, value in pairs(values) do
    local kind = abi[name][field]
    local what = ("%s.%s"):format(name, tostring(field))
    if kind == "text" then
      struct[field] = text(value, what, depth + 1)
    elseif kind == "boolean" then
      struct[field] = value and 1 or 0
    elseif kind == "number" then
      struct[field] = whole(value, what, depth + 1)
    else
      misuse(depth + 1, kind and "%s cannot be set from Lua" or "there is no %s", what)
    end
  end
end

--- Creates a client: of a built-in provider by its name, or with options, the members of imgtask_client_options.
-- Opens no connection and starts no thread. Gives the client, or nil and an error.
function imgtask.client(options)
  if type(options) ~= "table" then
    options = { provider = text(options, "the provider's name", 1) }
  end
  local loaded, why = imgtask.load()
  if not loaded then
    return nil, why
  end
  local C, struct = library(), sized "imgtask_client_options"
  local out, wrong = ffi.new "imgtask_client *[1]", ffi.new "imgtask_error *[1]"
  held.options = options
  set(struct, "imgtask_client_options", options, 1)
  local status = C.imgtask_client_create(struct, out, wrong)
  held.options = nil
  if status ~= abi.status.ok then
    return nil, failure(status, wrong[0], "imgtask_client_create")
  end
  -- Whoever only drops a client has said nothing about the event it took last.
  local event = ffi.gc(sized "imgtask_event", function(unseen)
    unseen.keep_in_journal = 1
    C.imgtask_event_clear(unseen)
  end)
  return setmetatable({ handle = ffi.gc(out[0], C.imgtask_client_free), event = event, data = {} }, Client)
end

--- The handle, of a client that was not freed.
local function handle_of(client)
  return client.handle or misuse(2, "the client was freed")
end

local JOB = {
  request = true, task = true, goal = true, path = true, label = true, progress = true, no_replace = true,
  image_index = true, all_images = true, timeout_ms = true, user_data = true, max_side = true, flip_y = true, bgra = true,
  premultiply = true,
}

--- Starts a job, which goes on by itself. `request` (a table or JSON) or `task` (a task, its id or its poll_ref) say where it
-- begins; `goal` how far it goes: "submitted", "looked", "finished", "bytes" (the default), "pixels", "file" (the default with a
-- `path`). For pixels: `max_side`, `flip_y = true`, `bgra = true`, `premultiply = true`. Further: `label`, `progress = true`, `path`,
-- `no_replace = true`, `image_index` (from 0) or `all_images = true`, `timeout_ms`, and `user_data`, any value, which comes back with
-- every event.
--
-- Gives the job's number, or nil and an error. All else that goes wrong comes as the job's final event.
function Client:start(job)
  local C, struct, out = library(), sized "imgtask_job", ffi.new "uint64_t[1]"
  local handle = handle_of(self)
  for field in pairs(job) do
    if not JOB[field] then
      misuse(1, "a job has no %s", tostring(field))
    end
  end
  if (job.request == nil) == (job.task == nil) then
    misuse(1, "a job begins with a request or with a task")
  end
  local goal = job.goal or (job.path and "file") or "bytes"
  struct.goal = abi.goal[goal] or misuse(1, "a job has no goal %s", tostring(goal))
  if (goal == "file") ~= (job.path ~= nil) then
    misuse(1, "the goal file and a path go together")
  end
  if goal ~= "pixels" and (shape(job) > 0 or job.max_side ~= nil) then
    misuse(1, "only the goal pixels takes a size and an order of pixels")
  end

  held.job = job
  if job.request ~= nil then
    held.request = request_json(job.request, 1)
    struct.request_json = held.request
  elseif type(job.task) == "table" then
    struct.task = job.task.handle
  else
    struct.task_ref = text(job.task, "task", 1)
  end
  if job.path ~= nil then
    struct.path = text(job.path, "path", 1)
  end
  if job.label ~= nil then
    struct.label = text(job.label, "label", 1)
  end
  if job.all_images then
    -- By way of a whole number: a negative double has no place among those without a sign.
    struct.image_index = ffi.cast("size_t", ffi.cast("intptr_t", -1))
  else
    struct.image_index = whole(job.image_index or 0, "image_index", 1)
  end
  struct.timeout_ms = timeout(job.timeout_ms, "timeout_ms", 1)
  struct.flags = (job.progress and abi.flag.progress or 0) + (job.no_replace and abi.flag.no_replace or 0) + shape(job)
  struct.max_side = whole(job.max_side or 0, "max_side", 1)
  local status = C.imgtask_client_start(handle, struct, out)
  held.job, held.request = nil, nil
  if status ~= abi.status.ok then
    return nil, failure(status, nil, "imgtask_client_start")
  end
  local op = tonumber(out[0])
  self.data[op] = job.user_data
  return op
end

--- The next event, or nil when there is none. Waits for `timeout_ms`, by default not at all: call it in every frame.
--
-- An event is a table: `op`, `label`, `kind` ("final", "progress", "image", "resumed"), `status` ("ok" or why not), `goal` (how
-- far the job has come, or nil), `task`, `image` or, for the goal "pixels", `pixels`, `image_index`, `error`, `user_data`. Polling again and client:free tell the journal
-- that it arrived.
function Client:poll(timeout_ms)
  local C, event, handle = library(), self.event, handle_of(self)
  C.imgtask_event_clear(event)
  local status = C.imgtask_client_next_event(handle, timeout_ms and timeout(timeout_ms, "timeout_ms", 1) or 0, event)
  if status ~= abi.status.ok then
    return nil
  end
  local op = tonumber(event.op)
  local brought = image_of(event.bytes)
  local encoded = brought and brought.format == "encoded"
  local taken = {
    op = op,
    label = ffi.string(event.label),
    kind = WORDS.event_kind[event.kind],
    goal = WORDS.goal[event.goal],
    status = word_of(event.status),
    task = task_of(event.task),
    image = encoded and brought or nil,
    pixels = not encoded and brought or nil,
    image_index = tonumber(event.image_index),
    user_data = self.data[op],
  }
  -- What was taken out is ours.
  event.task, event.bytes = nil, nil
  if event.error ~= nil then
    taken.error = failure(event.status, event.error)
    event.error = nil
  end
  if taken.kind == "final" then
    self.data[op] = nil
  end
  return taken
end

--- An iterator over the events that wait now, at most `limit` of them: `for event in client:events(8) do`.
function Client:events(limit)
  local left = limit or math.huge
  return function()
    left = left - 1
    return left >= 0 and self:poll() or nil
  end
end

--- Ends a job here; its task goes on at the service. Its final event still comes. true, or nil and an error.
function Client:stop(op)
  local status = library().imgtask_client_stop(handle_of(self), whole(op, "op", 1))
  if status ~= abi.status.ok then
    return nil, failure(status, nil, "imgtask_client_stop")
  end
  return true
end

--- Jobs started whose final event was not taken yet.
function Client:pending()
  return tonumber(library().imgtask_client_pending(handle_of(self)))
end

--- Takes up what the journal (`journal_path`) holds: a "resumed" event for each, then its others. Gives how many, or nil and an error.
function Client:resume(progress)
  local count, wrong = ffi.new "size_t[1]", ffi.new "imgtask_error *[1]"
  local flags = progress and abi.flag.progress or 0
  local status = library().imgtask_client_resume(handle_of(self), flags, count, wrong)
  if status ~= abi.status.ok then
    return nil, failure(status, wrong[0], "imgtask_client_resume")
  end
  return tonumber(count[0])
end

--- What the client has done so far: the members of imgtask_stats.
function Client:stats()
  local stats = sized "imgtask_stats"
  library().imgtask_client_get_stats(handle_of(self), stats)
  return read(stats, "imgtask_stats")
end

--- Refuses new jobs, ends those that run, and waits for their threads, at most `timeout_ms`, by default not at all. Events can still
-- be polled. true, or false when a thread still runs.
function Client:close(timeout_ms)
  local limit = timeout_ms and timeout(timeout_ms, "timeout_ms", 1) or 0
  return library().imgtask_client_close(handle_of(self), limit) == abi.status.ok
end

--- Closes the client and frees it now instead of when it is collected. Never waits for the network. Tasks and images stay good.
function Client:free()
  if self.handle ~= nil then
    local C = library()
    C.imgtask_event_clear(self.event)
    C.imgtask_client_free(ffi.gc(self.handle, nil))
    self.handle = nil
  end
end

---------------------------------------------------------------------------------------------------------------------------
-- Calls that block: for tools and tests, not for a frame

--- What every blocking call does: the library's function, and what it gave, or nil and an error, which carries what is known of
-- the task.
local function blocking(client, name, make, ...)
  local out = ffi.new(make == image_of and "imgtask_bytes *[1]" or "imgtask_task *[1]")
  local wrong = ffi.new "imgtask_error *[1]"
  local arguments = { ... }
  local count = select("#", ...)
  arguments[count + 1], arguments[count + 2] = out, wrong
  held.arguments = arguments
  local status = library()[name](handle_of(client), unpack(arguments, 1, count + 2))
  held.arguments = nil
  local made = make(out[0])
  if status == abi.status.ok then
    return made
  end
  local why = failure(status, wrong[0], name)
  why.task = made
  return nil, why
end

local function reference(task)
  return type(task) == "table" and task.poll_ref or text(task, "task", 2)
end

--- Submits a request (a table or JSON). Never sent twice by itself. Gives the task, or nil and an error.
function Client:submit(request)
  return blocking(self, "imgtask_client_submit", task_of, request_json(request, 1))
end

--- Looks at a task once. `task` is a task, its id or its poll_ref. Gives the task, also a failed one, or nil and an error.
function Client:fetch(task)
  return blocking(self, "imgtask_client_fetch", task_of, reference(task))
end

--- Looks at a task until it is final. `timeout_ms`: by default the provider's. Gives the task, also a failed one; or nil and an error,
-- whose `task` holds what is known.
function Client:wait(task, timeout_ms)
  local limit = timeout(timeout_ms, "timeout_ms", 1)
  return blocking(self, "imgtask_client_wait", task_of, reference(task), limit)
end

--- Asks the service to cancel a task. Gives the task, or nil and an error.
function Client:cancel_task(task)
  return blocking(self, "imgtask_client_cancel_task", task_of, reference(task))
end

--- Downloads one image of a task, the first by default. Gives the image, or nil and an error.
function Client:download(task, index)
  return blocking(self, "imgtask_client_download", image_of, task.handle, whole(index or 0, "index", 1), 0)
end

--- Downloads one image of a task into a file, which is whole under its name, or absent. Gives the image without its bytes, or nil and
-- an error.
function Client:download_file(task, path, index)
  local place = whole(index or 0, "index", 1)
  return blocking(self, "imgtask_client_download_file", image_of, task.handle, place, text(path, "path", 1), 0)
end

--- The built-in providers: a list of the members of imgtask_provider_info. Or nil and an error.
function imgtask.providers()
  local loaded, why = imgtask.load()
  if not loaded then
    return nil, why
  end
  local found, info = {}, sized "imgtask_provider_info"
  while library().imgtask_provider_get(#found, info) == abi.status.ok do
    found[#found + 1] = read(info, "imgtask_provider_info")
  end
  return found
end

return imgtask

-- What the module promises, in a user's voice. Runs in plain LuaJIT within a sandbox:
--
--     imgtask sandbox --speed 100 --duration 20 -- luajit bindings/lua/tests/test_imgtask.lua
--
-- IMGTASK_LIBRARY names the library. One line per test; the exit status says whether all went well.

local here = arg[0]:match "^(.*)[/\\]" or "."
package.path = here .. "/../?.lua;" .. package.path
local imgtask = require "imgtask"

local tests = {}
local PATIENCE_MS = 20000

local function equal(got, wanted)
  if got ~= wanted then
    error(("%s, not %s"):format(tostring(got), tostring(wanted)), 2)
  end
end

local function holds(text, part)
  if not tostring(text):find(part, 1, true) then
    error(("%q is not in %q"):format(part, tostring(text)), 2)
  end
end

-- What a misuse says.
local function misuse(call, ...)
  local good, message = pcall(call, ...)
  equal(good, false)
  return message
end

local function new_client(options)
  options = options or {}
  options.provider = options.provider or "dimilinks"
  options.poll_interval_ms = 20
  return assert(imgtask.client(options))
end

-- The events of all jobs until none is pending.
local function events_of(client)
  local events = {}
  while client:pending() > 0 do
    events[#events + 1] = assert(client:poll(PATIENCE_MS), "no event came")
  end
  return events
end

local function final_of(client)
  local events = events_of(client)
  equal(events[#events].kind, "final")
  return events[#events]
end

function tests.a_job_goes_from_a_prompt_to_the_bytes()
  local client, mark = new_client(), {}
  local op = assert(client:start {
    request = { prompt = "a lighthouse", size = "64x48" },
    label = "lighthouse",
    progress = true,
    user_data = mark,
  })
  equal(type(op), "number")
  equal(client:pending(), 1)
  local events = events_of(client)
  for i, event in ipairs(events) do
    equal(event.op, op)
    equal(event.label, "lighthouse")
    equal(event.user_data, mark)
    equal(event.kind, i == #events and "final" or "progress")
  end
  assert(#events > 1, "no progress was told")
  local last = events[#events]
  equal(last.status, "ok")
  equal(last.goal, "bytes")
  equal(last.error, nil)
  equal(last.task.state, "succeeded")
  equal(last.task.progress, 100)
  equal(last.image.width, 64)
  equal(last.image.media_type, "image/png")
  equal(last.image:bytes():sub(1, 8), "\137PNG\r\n\26\n")
  equal(#last.image:bytes(), last.image.len)
  client:free()
end

function tests.a_job_goes_from_a_prompt_to_the_pixels()
  local client = new_client()
  client:start { request = { prompt = "a lighthouse", size = "64x48" } }
  local event = final_of(client)
  equal(event.pixels, nil)
  equal(event.image.format, "encoded")
  local image, task = event.image, event.task
  client:start { task = task, goal = "pixels" }
  event = final_of(client)
  equal(event.goal, "pixels")
  equal(event.image, nil)
  local pixels = event.pixels
  equal(pixels.format, "rgba8")
  equal(pixels.width, 64)
  equal(pixels.height, 48)
  equal(pixels.row_bytes, 256)
  equal(#pixels:bytes(), 64 * 48 * 4)
  equal(pixels:bytes(), assert(image:decode()):bytes())
  client:free()

  -- Turned over, the other order of channels, smaller.
  local upright, flipped = pixels:bytes(), assert(image:decode { flip_y = true }):bytes()
  equal(flipped:sub(1, 256), upright:sub(-256))
  equal(flipped:sub(-256), upright:sub(1, 256))
  local swapped = assert(image:decode { bgra = true, premultiply = true })
  equal(swapped.format, "bgra8")
  equal(swapped:bytes():sub(1, 4), upright:sub(3, 3) .. upright:sub(2, 2) .. upright:sub(1, 1) .. upright:sub(4, 4))
  local small = assert(image:decode { max_side = 16 })
  equal(small.width, 16)
  equal(small.height, 12)
  local none, why = pixels:decode()
  equal(none, nil)
  equal(why.status, "invalid_argument")
  holds(misuse(image.decode, image, { upside_down = true }), "no upside_down")
  pixels:free()
  holds(misuse(pixels.bytes, pixels), "was freed")
end

function tests.all_images_become_pixels_as_the_job_wants_them()
  local client = new_client()
  client:start {
    request = { prompt = "cats", size = "64x48", resolution = "2k", n = 2 },
    goal = "pixels",
    all_images = true,
    max_side = 32,
    bgra = true,
  }
  local events = events_of(client)
  equal(#events, 3)
  for index = 0, 1 do
    local event = events[index + 1]
    equal(event.kind, "image")
    equal(event.image_index, index)
    equal(event.pixels.format, "bgra8")
    equal(event.pixels.width, 32)
    equal(event.pixels.height, 24)
    local pointer, length = event.pixels:pointer()
    equal(length, 32 * 24 * 4)
    equal(pointer[3], 255)
  end
  equal(events[3].pixels, nil)
  client:free()
end

function tests.an_image_outlives_its_client_and_is_freed_on_demand()
  local client = new_client()
  client:start { request = { prompt = "a fox", size = "64x48" } }
  local image = final_of(client).image
  client:free()
  collectgarbage()
  equal(#image:bytes(), image.len)
  image:free()
  image:free()
  holds(misuse(image.bytes, image), "the image was freed")
end

function tests.a_job_writes_a_file_and_replaces_none_when_told_so()
  local client, path = new_client(), os.tmpname()
  local op = client:start { request = { prompt = "a cat", size = "64x48" }, path = path }
  local event = final_of(client)
  equal(event.op, op)
  equal(event.goal, "file")
  equal(event.image.path, path)
  equal(event.image:bytes(), nil)
  local file = assert(io.open(path, "rb"))
  equal(#file:read "*a", event.image.len)
  file:close()

  -- The very image may stay, and the job has its goal; anything else is not touched.
  client:start { task = event.task, path = path, no_replace = true }
  equal(final_of(client).status, "ok")
  file = assert(io.open(path, "wb"))
  file:write "mine"
  file:close()
  client:start { task = event.task, path = path, no_replace = true }
  local refused = final_of(client)
  equal(refused.status, "file")
  equal(refused.error.status, "file")
  os.remove(path)
  client:free()
end

function tests.what_goes_wrong_with_a_job_comes_as_a_value()
  local client = new_client()
  client:start { request = { prompt = "a cat [fail:content_moderation]" }, label = "cat" }
  local event = final_of(client)
  equal(event.label, "cat")
  equal(event.image, nil)
  assert(event.status ~= "ok", event.status)
  equal(event.status, event.error.status)
  equal(event.task.state, "failed")
  equal(event.task.failure_action, "change_request")
  equal(tostring(event.error), event.error.message)
  equal("why: " .. event.error, "why: " .. event.error.message)
  client:free()
end

function tests.a_job_that_is_stopped_ends_as_cancelled()
  local client = new_client()
  local op = client:start { request = { prompt = "a cat [never]" } }
  equal(client:stop(op), true)
  local event = final_of(client)
  equal(event.status, "cancelled")
  local stopped, why = client:stop(op)
  equal(stopped, nil)
  equal(why.status, "unknown_op")
  holds(why, "no such job")
  client:free()
end

function tests.close_ends_jobs_and_refuses_new_ones()
  local client = new_client()
  for _ = 1, 10 do
    assert(client:start { request = { prompt = "a cat [never]" } })
  end
  equal(client:close(5000), true)
  local ended = 0
  for event in client:events() do
    ended = ended + (event.kind == "final" and 1 or 0)
  end
  equal(ended, 10)
  local op, why = client:start { task = "img_1" }
  equal(op, nil)
  equal(why.status, "closed")
  client:free()
  holds(misuse(client.poll, client), "the client was freed")
end

function tests.no_more_events_are_taken_in_a_frame_than_asked_for()
  local client = new_client()
  for _ = 1, 5 do
    assert(client:start { task = "img_000000000000000000000000", goal = "looked" })
  end
  while client:stats().events_waiting < 5 do
  end
  local taken = 0
  for _ in client:events(2) do
    taken = taken + 1
  end
  equal(taken, 2)
  equal(client:pending(), 3)
  client:free()
end

function tests.what_the_journal_holds_comes_back_with_its_label()
  local path = os.tmpname()
  os.remove(path)
  local client = new_client { journal_path = path }
  client:start { request = { prompt = "a cat [duration:2000]" }, label = "cat", progress = true, user_data = "gone" }
  -- The first progress tells that the service has the task.
  local event = assert(client:poll(PATIENCE_MS))
  equal(event.kind, "progress")
  client:close(5000)
  client:free()

  client = new_client { journal_path = path }
  equal(assert(client:resume()), 1)
  local resumed = assert(client:poll(PATIENCE_MS))
  equal(resumed.kind, "resumed")
  equal(resumed.label, "cat")
  equal(resumed.task.id, event.task.id)
  equal(resumed.user_data, nil)
  client:close(5000)
  client:free()
  os.remove(path)
end

function tests.an_event_is_told_to_the_journal_by_polling_again_and_not_by_the_collector()
  local path = os.tmpname()
  os.remove(path)
  for _, polls_again in ipairs { false, true } do
    local client = new_client { journal_path = path }
    if polls_again then
      equal(assert(client:resume()), 1)
    else
      client:start { request = { prompt = "a cat", size = "64x48" }, label = "cat" }
    end
    local event
    repeat
      event = assert(client:poll(PATIENCE_MS))
    until event.kind == "final"
    equal(event.label, "cat")
    equal(event.status, "ok")
    if polls_again then
      equal(client:poll(), nil)
    end
    -- So that the journal is free for the next.
    client:close(5000)
    client, event = nil, nil
    collectgarbage()
    collectgarbage()
    equal(imgtask.live_handles(), 0)
  end
  local client = new_client { journal_path = path }
  equal(assert(client:resume()), 0)
  client:close(5000)
  client:free()
  os.remove(path)
end

function tests.blocking_calls_give_a_value_or_nil_and_why()
  local client = new_client { provider = "lemondata" }
  local task = assert(client:submit { prompt = "a cat", model = "gpt-image-2", size = "64x48", async = true })
  task = assert(client:wait(task))
  equal(task.state, "succeeded")
  equal(task.is_final, true)
  equal(assert(client:fetch(task.id)).id, task.id)
  assert(#task:image(0).url > 0)
  equal(task:image(1), nil)
  holds(task:json(), task.id)
  equal(assert(client:download(task)).width, 64)
  local path = os.tmpname()
  equal(assert(client:download_file(task, path)).path, path)
  os.remove(path)

  local none, why = client:fetch "img_000000000000000000000000"
  equal(none, nil)
  equal(why.status, "not_found")
  equal(why.http_status, 404)
  none, why = client:download(task, 7)
  equal(why.status, "invalid_argument")

  local slow = assert(client:submit { prompt = "a cat [never]", model = "gpt-image-2", async = true })
  none, why = client:wait(slow, 100)
  equal(none, nil)
  equal(why.status, "timeout")
  equal(why.task.id, slow.id)
  equal(select(2, client:cancel_task(slow)).status, "rejected")
  client:free()
end

function tests.a_client_that_cannot_be_made_says_why()
  local client, why = imgtask.client "nobody"
  equal(client, nil)
  equal(why.status, "invalid_argument")
  holds(why, "nobody")
  equal(#assert(imgtask.providers()) >= 3, true)
  equal(imgtask.providers()[1].key_variable, "DIMILINKS_API_KEY")
end

function tests.a_misuse_is_told_at_its_own_line()
  local client = new_client()
  local line
  local function told(call)
    local message = misuse(call)
    holds(message, ("test_imgtask.lua:%d: imgtask: "):format(line))
    return message
  end
  local function at()
    line = debug.getinfo(2, "l").currentline
    return client
  end
  holds(told(function() at():start {} end), "a request or with a task")
  holds(told(function() at():start { request = "{}", task = "x" } end), "a request or with a task")
  holds(told(function() at():start { request = "{}", speed = 9 } end), "no speed")
  holds(told(function() at():start { request = "{}", goal = "fame" } end), "no goal fame")
  holds(told(function() at():start { request = "{}", goal = "file" } end), "a path go together")
  holds(told(function() at():start { request = "{}", max_side = 8 } end), "only the goal pixels")
  holds(told(function() at():start { request = "{}", goal = "bytes", flip_y = true } end), "only the goal pixels")
  holds(told(function() at():start { request = "{}", goal = "pixels", max_side = -1 } end), "not negative")
  holds(told(function() at():start { request = { a = { print } } } end), "a function")
  holds(told(function() at():start { request = { [2] = "x" } } end), "not 2")
  holds(told(function() at():start { request = 5 } end), "must be a string")
  holds(told(function() at():start { request = "{}", label = "a\0b" } end), "without NUL")
  holds(told(function() at():fetch(5) end), "must be a string")
  holds(told(function() at():wait("img_1", -5) end), "not negative")
  holds(told(function() at():poll(0.5) end), "whole number")
  holds(told(function() at() imgtask.client { nonsense = 1 } end), "nonsense")
  holds(told(function() at() imgtask.client { provider = "dimilinks", log = print } end), "cannot be set from Lua")
  holds(told(function() at() imgtask.client { provider = "dimilinks", max_workers = -1 } end), "not negative")
  client:free()
end

function tests.a_table_becomes_the_json_that_it_looks_like()
  equal(imgtask.json { prompt = 'a "cat"\n\1\\' }, '{"prompt":"a \\"cat\\"\\n\\u0001\\\\"}')
  equal(imgtask.json { n = 2 }, '{"n":2}')
  equal(imgtask.json { n = -0.5 }, '{"n":-0.5}')
  equal(imgtask.json { n = 2 ^ 53 }, '{"n":9007199254740992}')
  equal(imgtask.json { async = true }, '{"async":true}')
  equal(imgtask.json { image_urls = { "a", "b" } }, '{"image_urls":["a","b"]}')
  equal(imgtask.json { options = {} }, '{"options":{}}')
  equal(imgtask.json { prompt = "дом" }, '{"prompt":"дом"}')
  holds(misuse(imgtask.json, { n = 0 / 0 }), "cannot hold")
  local knot = {}
  knot.knot = knot
  holds(misuse(imgtask.json, knot), "nested too deep")
end

function tests.the_module_can_be_loaded_again()
  package.loaded.imgtask, package.loaded.imgtask_abi = nil, nil
  local again = require "imgtask"
  assert(again ~= imgtask)
  local client = assert(again.client "dimilinks")
  equal(client:pending(), 0)
  client:free()
  equal(again.version(), imgtask.version())
end

-- In alphabetical order, so that a run reads like the one before.
local names, failed = {}, 0
for name in pairs(tests) do
  names[#names + 1] = name
end
table.sort(names)
for _, name in ipairs(names) do
  local good, why = xpcall(tests[name], debug.traceback)
  -- What a test left to the collector.
  collectgarbage()
  collectgarbage()
  if good and imgtask.live_handles() ~= 0 then
    good, why = false, imgtask.live_handles() .. " handles left"
  end
  print((good and "ok " or "FAILED ") .. name .. (good and "" or ": " .. tostring(why)))
  failed = failed + (good and 0 or 1)
end
os.exit(failed == 0 and 0 or 1, true)

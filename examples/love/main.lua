-- Six images in a game that keeps moving.
--
--     love examples/love [SHOTS]
--
-- The key is in the environment: DIMILINKS_API_KEY. A game that ships has none: it asks its studio's backend (base_url).
-- With SHOTS it writes SHOTS-1.png when the first bar moves and SHOTS-2.png when every image is there, and leaves.

-- Your game has imgtask.lua, imgtask_abi.lua and the library in its own folder; here they lie in the repository's.
package.path = love.filesystem.getSourceBaseDirectory() .. "/../bindings/lua/?.lua;" .. package.path
local imgtask = require "imgtask"

local PROMPTS = {
  "a lighthouse at dusk", "a fox in the snow", "a harbour in the morning",
  "a dragon asleep on its gold", "a night market in the rain", "a castle above the clouds",
}
local TILE, GAP, EVENTS_A_FRAME = 240, 20, 8

local client
local tiles = {}
local ball = { x = 10, speed = 60 }
local shots, shot = nil, 0
local frames, started, longest = 0, 0, 0

function love.load(arguments)
  shots = arguments[1]
  client = assert(imgtask.client "dimilinks")
  for i, prompt in ipairs(PROMPTS) do
    local tile = { percent = 0, x = GAP + (i - 1) % 3 * (TILE + GAP), y = GAP + math.floor((i - 1) / 3) * (TILE + GAP) }
    -- Returns at once: all that happens to it comes as events. Pixels are made on a thread of the library, no larger than drawn.
    assert(client:start {
      request = { prompt = prompt },
      goal = "pixels",
      max_side = TILE,
      label = prompt,
      progress = true,
      user_data = tile,
    })
    tiles[i] = tile
  end
  started = love.timer.getTime()
end

local function picture_of(pixels)
  local data = love.image.newImageData(pixels.width, pixels.height, "rgba8", pixels:bytes())
  pixels:free()
  return love.graphics.newImage(data)
end

-- Puts what an event tells where it belongs.
local function take(event)
  local tile = event.user_data
  if event.task then
    tile.percent = math.max(tile.percent, event.task.progress)
  end
  if event.kind ~= "final" then
    return
  end
  tile.done = true
  if event.error then
    print(event.label .. ": " .. event.error)
  else
    tile.picture = picture_of(event.pixels)
  end
end

function love.update(dt)
  for event in client:events(EVENTS_A_FRAME) do
    take(event)
  end
  ball.x = ball.x + ball.speed * dt
  if ball.x < 10 or ball.x > 770 then
    ball.x, ball.speed = math.max(10, math.min(ball.x, 770)), -ball.speed
  end
  if frames > 0 then
    longest = math.max(longest, dt)
  end
  frames = frames + 1
end

local function shoot()
  shot = shot + 1
  local path = ("%s-%d.png"):format(shots, shot)
  love.graphics.captureScreenshot(function(picture)
    local file = assert(io.open(path, "wb"))
    file:write(picture:encode("png"):getString())
    file:close()
    if shot == 2 then
      love.event.quit()
    end
  end)
end

local function rectangle(red, green, blue, ...)
  love.graphics.setColor(red / 255, green / 255, blue / 255)
  love.graphics.rectangle("fill", ...)
end

function love.draw()
  local moved, done = false, 0
  love.graphics.clear(24 / 255, 24 / 255, 32 / 255)
  for _, tile in ipairs(tiles) do
    if tile.picture then
      local picture = tile.picture
      love.graphics.setColor(1, 1, 1)
      love.graphics.draw(picture, tile.x, tile.y, 0, TILE / picture:getWidth(), TILE / picture:getHeight())
    elseif tile.done then
      rectangle(120, 30, 30, tile.x, tile.y, TILE, TILE)
    else
      rectangle(48, 48, 60, tile.x, tile.y, TILE, TILE)
      rectangle(90, 200, 120, tile.x + GAP, tile.y + TILE / 2, (TILE - 2 * GAP) * tile.percent / 100, 12)
    end
    moved = moved or tile.percent > 0 or tile.done
    done = done + (tile.done and 1 or 0)
  end
  rectangle(255, 160, 0, ball.x, 560, GAP, GAP)
  if shots and ((shot == 0 and moved) or (shot == 1 and done == #tiles)) then
    shoot()
  end
end

function love.quit()
  print(("%d frames in %d ms, the longest %d ms"):format(frames, (love.timer.getTime() - started) * 1000, longest * 1000))
  -- Ends the jobs that still run; their tasks go on at the service.
  client:close(1000)
  client:free()
  tiles = {}
  collectgarbage()
  collectgarbage()
  print(("%d handles left"):format(imgtask.live_handles()))
end

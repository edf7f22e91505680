-- Runs a chunk of a page: love.lua CHUNK. What a chunk uses of LÖVE is stood in for; tests/hosts runs games in LÖVE itself.
imgtask = require "imgtask"
love = {
  graphics = {
    newImage = function(data) return assert(data, "an image of nothing") end,
    draw = function() end,
    print = function() end,
  },
  image = {
    newImageData = function(width, height, format, bytes)
      assert(format == "rgba8" and #bytes == width * height * 4, "pixels that LÖVE would refuse")
      return { width = width, height = height }
    end,
  },
  filesystem = { newFileData = function(bytes, name) return { bytes = bytes, name = name } end },
}

local chunk = assert(loadfile(arg[1]))
chunk()
if love.load then
  love.load()
  local ffi = require "ffi"
  ffi.cdef "int usleep(unsigned int microseconds);"
  local frames = 0
  while not picture and frames < 2000 do -- half a minute
    love.update(0.016)
    if love.draw then love.draw() end
    ffi.C.usleep(15000)
    frames = frames + 1
  end
  assert(picture, "no picture after " .. frames .. " frames")
  if love.quit then love.quit() end
end

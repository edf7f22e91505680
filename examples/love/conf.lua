function love.conf(t)
  t.window.title = "imgtask"
  t.window.width, t.window.height = 800, 600
  for _, unused in ipairs { "audio", "joystick", "physics", "sound", "touch", "video" } do
    t.modules[unused] = false
  end
end

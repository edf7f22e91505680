/*
 * Six images in a game that keeps moving: SDL2's frame loop, and imgtask's events taken once a frame.
 *
 *     frame_loop [SHOTS]
 *
 * Keys: DIMILINKS_API_KEY from the environment. A game that ships has none: it asks its studio's backend (options.base_url).
 * With SHOTS it writes SHOTS-1.bmp when the first bar moves and SHOTS-2.bmp when every image is there, and leaves.
 */
#include <SDL.h>
#include <imgtask.h>
#include <stdio.h>

enum { IMAGES = 6, TILE = 240, GAP = 20, WIDTH = 800, HEIGHT = 600, FRAME_MS = 16, EVENTS_A_FRAME = 8 };

/* A place for an image that is on its way. */
struct tile {
    const char *name;
    const char *request; /* the provider's own JSON, as its documentation writes it */
    SDL_Texture *texture;
    int percent;
    int done;
};

static struct tile tiles[IMAGES] = {
    {.name = "lighthouse", .request = "{\"prompt\": \"a lighthouse at dusk\"}"},
    {.name = "fox", .request = "{\"prompt\": \"a fox in the snow\"}"},
    {.name = "harbour", .request = "{\"prompt\": \"a harbour in the morning\"}"},
    {.name = "dragon", .request = "{\"prompt\": \"a dragon asleep on its gold\"}"},
    {.name = "market", .request = "{\"prompt\": \"a night market in the rain\"}"},
    {.name = "castle", .request = "{\"prompt\": \"a castle above the clouds\"}"},
};

/* Asks for an image. Returns at once: all that happens to the job comes as events. */
static void ask(imgtask_client *client, struct tile *tile)
{
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    imgtask_status status;

    job.request_json = tile->request;
    job.goal = IMGTASK_GOAL_PIXELS; /* decoded on a thread of the library, from PNG, JPEG or WebP */
    job.max_side = TILE;            /* and made no larger than they are drawn */
    job.flags = IMGTASK_FLAG_PROGRESS;
    job.label = tile->name;
    job.user_data = tile;
    status = imgtask_client_start(client, &job, NULL);
    tile->done = status != IMGTASK_STATUS_OK;
    if (tile->done)
        fprintf(stderr, "%s: %s\n", tile->name, imgtask_status_name(status));
}

/* A texture of the image's pixels, which lie as SDL wants them. */
static SDL_Texture *texture_of(SDL_Renderer *renderer, const imgtask_bytes_info *image)
{
    SDL_Texture *texture = SDL_CreateTexture(renderer, SDL_PIXELFORMAT_RGBA32, SDL_TEXTUREACCESS_STATIC, (int)image->width,
                                             (int)image->height);

    if (texture) {
        SDL_UpdateTexture(texture, NULL, image->data, (int)image->row_bytes);
        SDL_SetTextureBlendMode(texture, SDL_BLENDMODE_BLEND);
    }
    return texture;
}

/* Puts what an event tells where it belongs. */
static void take(SDL_Renderer *renderer, const imgtask_event *event)
{
    imgtask_task_info task = IMGTASK_INIT(imgtask_task_info);
    imgtask_bytes_info image = IMGTASK_INIT(imgtask_bytes_info);
    struct tile *tile = event->user_data;

    if (event->task && imgtask_task_get(event->task, &task) == IMGTASK_STATUS_OK && task.progress > tile->percent)
        tile->percent = task.progress;
    if (event->kind != IMGTASK_EVENT_KIND_FINAL)
        return;
    tile->done = 1;
    if (event->status != IMGTASK_STATUS_OK)
        fprintf(stderr, "%s: %s\n", event->label, imgtask_error_message(event->error));
    else if (imgtask_bytes_get(event->bytes, &image) == IMGTASK_STATUS_OK) {
        tile->texture = texture_of(renderer, &image);
        if (!tile->texture)
            fprintf(stderr, "%s: %s\n", event->label, SDL_GetError());
    }
}

/* Takes what has happened since the last frame. Never waits. */
static void take_events(imgtask_client *client, SDL_Renderer *renderer)
{
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    int taken = 0;

    while (taken++ < EVENTS_A_FRAME && imgtask_client_next_event(client, 0, &event) == IMGTASK_STATUS_OK) {
        take(renderer, &event);
        imgtask_event_clear(&event);
    }
}

static void fill(SDL_Renderer *renderer, SDL_Rect place, Uint8 red, Uint8 green, Uint8 blue)
{
    SDL_SetRenderDrawColor(renderer, red, green, blue, 255);
    SDL_RenderFillRect(renderer, &place);
}

/* Draws the images, the bars of those on their way, and the ball that must never stand still. */
static void draw(SDL_Renderer *renderer, double seconds)
{
    int way = WIDTH - 2 * GAP;
    int ball = way - abs((int)(seconds * 60) % (2 * way) - way); /* from side to side */
    int i;

    SDL_SetRenderDrawColor(renderer, 24, 24, 32, 255);
    SDL_RenderClear(renderer);
    for (i = 0; i < IMAGES; i++) {
        SDL_Rect place = {GAP + i % 3 * (TILE + GAP), GAP + i / 3 * (TILE + GAP), TILE, TILE};
        SDL_Rect bar = {place.x + GAP, place.y + TILE / 2, (TILE - 2 * GAP) * tiles[i].percent / 100, 12};

        if (tiles[i].texture)
            SDL_RenderCopy(renderer, tiles[i].texture, NULL, &place);
        else if (tiles[i].done)
            fill(renderer, place, 120, 30, 30);
        else {
            fill(renderer, place, 48, 48, 60);
            fill(renderer, bar, 90, 200, 120);
        }
    }
    fill(renderer, (SDL_Rect){GAP / 2 + ball, HEIGHT - 2 * GAP, GAP, GAP}, 255, 160, 0);
}

static void shoot(SDL_Renderer *renderer, const char *shots, int number)
{
    char path[512];
    SDL_Surface *shot = SDL_CreateRGBSurfaceWithFormat(0, WIDTH, HEIGHT, 32, SDL_PIXELFORMAT_ARGB8888);

    snprintf(path, sizeof path, "%s-%d.bmp", shots, number);
    if (!shot || SDL_RenderReadPixels(renderer, NULL, SDL_PIXELFORMAT_ARGB8888, shot->pixels, shot->pitch) != 0 ||
        SDL_SaveBMP(shot, path) != 0)
        fprintf(stderr, "%s: %s\n", path, SDL_GetError());
    SDL_FreeSurface(shot);
}

/* Runs until the window is closed, or the second shot is taken. */
static void play(imgtask_client *client, SDL_Renderer *renderer, const char *shots)
{
    Uint64 start = SDL_GetTicks64(), last = start, longest = 0, frames = 0;
    int playing = 1, shot = 0;

    while (playing) {
        SDL_Event input;
        Uint64 now;
        int i, moved = 0, done = 0;

        while (SDL_PollEvent(&input))
            if (input.type == SDL_QUIT)
                playing = 0;

        take_events(client, renderer);
        draw(renderer, (double)(last - start) / 1000);

        for (i = 0; i < IMAGES; i++) {
            moved |= tiles[i].percent > 0 || tiles[i].done;
            done += tiles[i].done;
        }
        if (shots && ((shot == 0 && moved) || (shot == 1 && done == IMAGES))) {
            shoot(renderer, shots, ++shot);
            playing &= shot < 2;
        }
        SDL_RenderPresent(renderer);
        now = SDL_GetTicks64();
        if (now - last < FRAME_MS) /* no screen to wait for */
            SDL_Delay((Uint32)(FRAME_MS - (now - last)));

        now = SDL_GetTicks64();
        longest = now - last > longest ? now - last : longest;
        last = now;
        frames++;
    }
    printf("%d frames in %d ms, the longest %d ms\n", (int)frames, (int)(last - start), (int)longest);
}

/* Ends the jobs that still run (their tasks go on at the service), takes what came last, frees. */
static void leave(imgtask_client *client)
{
    imgtask_event event = IMGTASK_INIT(imgtask_event);

    imgtask_client_close(client, 1000);
    while (imgtask_client_next_event(client, 0, &event) == IMGTASK_STATUS_OK) {
        event.keep_in_journal = 1; /* nobody saw it: a game with a journal is told again when it is back */
        imgtask_event_clear(&event);
    }
    imgtask_client_free(client);
    printf("%d handles left\n", (int)imgtask_debug_live_handles());
}

int main(int argc, char **argv)
{
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    imgtask_client *client = NULL;
    imgtask_error *error = NULL;
    SDL_Window *window = NULL;
    SDL_Renderer *renderer = NULL;
    int i, result = 1;

    options.provider = "dimilinks";
    if (imgtask_client_create(&options, &client, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "%s\n", imgtask_error_message(error));
        imgtask_error_free(error);
        return 1;
    }
    if (SDL_Init(SDL_INIT_VIDEO) == 0)
        window = SDL_CreateWindow("imgtask", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, WIDTH, HEIGHT, 0);
    if (window)
        renderer = SDL_CreateRenderer(window, -1, SDL_RENDERER_PRESENTVSYNC);
    if (renderer) {
        for (i = 0; i < IMAGES; i++)
            ask(client, &tiles[i]);
        play(client, renderer, argc > 1 ? argv[1] : NULL);
        result = 0;
    } else
        fprintf(stderr, "SDL: %s\n", SDL_GetError());
    leave(client);
    for (i = 0; i < IMAGES; i++)
        SDL_DestroyTexture(tiles[i].texture);
    SDL_DestroyRenderer(renderer);
    SDL_DestroyWindow(window);
    SDL_Quit();
    return result;
}

/* What the parts of the cost program share: the server, and the ways to look at a task that are compared. */

#ifndef COST_H
#define COST_H

#include <stddef.h>
#include <stdint.h>

/* The key every way sends. */
#define KEY "sk-bench-0000000000000000000000000000"

/* The task whose answer is small; INLINE carries an image of 14 MB as a data URL, ROWS a million {} that no way reads. */
#define SMALL "img_7f3a9c21"
#define INLINE "img_inline"
#define ROWS "img_rows"

/* A task with an image of a little more than 1 GiB, and one with an image of 64 KiB. */
#define BIG "img_big"
#define LITTLE "img_little"
#define BIG_FILLER ((size_t)1024 * 1024 * 1024)
/* Where the image of one of them is, behind the server's address and before its id. */
#define PICTURE "/p/picture/"

/* Milliseconds that one look may last. The server answers at once: it only has to be counted. */
#define DEADLINE_MS 60000

/* What the small answer says, and every way has to find. */
#define FILE_ID "file_51c0"
#define CREATED 1777080000
#define COMPLETED 1777080060
#define LINK "/p/img/" SMALL "/0?exp=1777166400000&sig=d41d8cd98f00b204"

/* A way to look at a task: a connection that is kept, the key sent, the answer read. */
typedef struct way {
    const char *name;
    /* Connects nothing yet; `base` is the server's address, "http://127.0.0.1:port". Ends the program on failure. */
    void *(*open)(const char *base, uint16_t port);
    /* One look. Ends the program unless the task succeeded; an answer other than SMALL's is not read further. */
    void (*look)(void *state, const char *task_id);
    /* The image of BIG or LITTLE becomes a file at `path`, for good: on the disk, and its name too. NULL where the way has no
     * such thing. */
    void (*save)(void *state, const char *task_id, const char *path);
    void (*close)(void *state);
} way;

extern const way way_imgtask;
/* The same through a job. */
extern const way way_job;
extern const way way_raw;
#ifndef NO_CURL
extern const way way_curl;
#endif

/* Serves on 127.0.0.1, prints the port, and returns when stdin ends. */
void serve(void);

/* Sends all of it; 0 when the other side is gone. */
int send_all(int socket, const void *bytes, size_t len);

/* The pictures of BIG and LITTLE: made once, then an answer with head and body; 0 when the other side is gone. */
void picture_make(void);
int picture_send(int socket, const char *task_id);

/* Brings an open file to the disk, gives it its name, and brings that to the disk too, as the library does. */
void keep(int file, const char *temporary, const char *path);

/* Threads started by anything in this process, the libraries included. */
extern size_t threads_started;

/* Says what is wrong and ends the program. */
_Noreturn void give_up(const char *what, const char *detail);

/* Ends the program unless the image and the times are those of SMALL. */
void check_image(const char *url, const char *base, const char *file_id, int64_t created, int64_t completed);

#endif

/* A picture of any length that a decoder takes: one pixel, and behind it filler that every decoder passes over. The filler is
 * one chunk, sent again and again, so that a gigabyte needs neither a disk nor memory. */

#define _GNU_SOURCE
#include "cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART = 64 * 1024, PARTS_AT_ONCE = 16 };

static unsigned char head[128], tail[12], parts[PARTS_AT_ONCE * PART];
static size_t head_len;

static uint32_t crc(const unsigned char *bytes, size_t len) {
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return ~sum;
}

static unsigned char *big_endian(unsigned char *at, uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (unsigned char)(number >> shift);
    return at;
}

/* A chunk of a PNG, and where the next one goes. */
static unsigned char *chunk(unsigned char *at, const char *name, const void *data, uint32_t len) {
    unsigned char *named = big_endian(at, len);
    memcpy(named, name, 4);
    memcpy(named + 4, data, len);
    return big_endian(named + 4 + len, crc(named, 4 + len));
}

void picture_make(void) {
    static const unsigned char size[] = {0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0};
    /* One red pixel, stored: filter 0, then red, green and blue. */
    static const unsigned char pixel[] = {0x78, 1, 1, 4, 0, 0xfb, 0xff, 0, 0xff, 0, 0, 3, 1, 1, 0};
    static unsigned char noise[PART - 12];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1664525 + 1013904223;
        noise[i] = (unsigned char)(state >> 24);
    }
    memcpy(head, "\x89PNG\r\n\x1a\n", 8);
    unsigned char *end = chunk(chunk(head + 8, "IHDR", size, sizeof size), "IDAT", pixel, sizeof pixel);
    head_len = (size_t)(end - head);
    chunk(parts, "beNc", noise, sizeof noise);
    for (size_t i = 1; i < PARTS_AT_ONCE; i++)
        memcpy(parts + i * PART, parts, PART);
    chunk(tail, "IEND", "", 0);
}

int picture_send(int socket, const char *task_id) {
    char top[256];
    size_t filler = strcmp(task_id, BIG) == 0 ? BIG_FILLER : PART;
    int top_len = snprintf(top, sizeof top,
                           "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %zu\r\n\r\n",
                           head_len + filler + sizeof tail);
    if (!send_all(socket, top, (size_t)top_len) || !send_all(socket, head, head_len))
        return 0;
    for (size_t part; filler > 0; filler -= part) {
        part = filler < sizeof parts ? filler : sizeof parts;
        if (!send_all(socket, parts, part))
            return 0;
    }
    return send_all(socket, tail, sizeof tail);
}

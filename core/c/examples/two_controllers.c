/* An appliance with two controllers on one shared disk: exactly one of them is active at a time.
 *
 *   two_controllers format IMAGE          lays a volume out on an image file, quorum_count 1, 8 clients
 *   two_controllers run IMAGE PORT        runs one controller, listening at 127.0.0.1:PORT when it is active
 *
 * Both controllers run here as processes of one Linux machine, so that a fence is a kill. Everything that a platform
 * has to bring is in this file: a disk (pread and pwrite with O_DIRECT and O_DSYNC), a network (nonblocking TCP), a
 * clock, random bytes, a fence. The loop in `run` is the order of calls that ostrakon.h asks for.
 *
 * SIGTERM leaves cleanly. The disk calls block, so that a disk that hangs stops this controller and it is fenced; a
 * firmware would start a transfer instead, and answer it when it ends or when `limit_us` has passed.
 */
#define _GNU_SOURCE
#include "ostrakon.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS = 8,
    /* The server's connections, those of strangers among them, and the client's own. */
    CONNS = CLIENTS + 16 + 1,
    RX_BYTES = 2 * OSTRAKON_MESSAGE_BYTES,
    TX_BYTES = 4 * OSTRAKON_MESSAGE_BYTES,
    FENCES = 4,
    IMAGE_BLOCKS = 1024,
    /* How often it is looked whether a killed process is gone. */
    FENCE_LOOK_MS = 5
};

/* One TCP connection: its name, and what came in or waits to go out. */
struct conn {
    int used;
    int fd;
    uint32_t name;
    int connecting;
    size_t rx_length, tx_length;
    uint8_t rx[RX_BYTES], tx[TX_BYTES];
};

/* A fence that was fired: who, and which process must be gone. */
struct fence {
    int used;
    ostrakon_ballot victim;
    pid_t pid;
};

static union {
    uint64_t alignment;
    uint8_t bytes[OSTRAKON_MOUNT_BYTES(CLIENTS)];
} memory;
static uint8_t block[OSTRAKON_BLOCK_BYTES] __attribute__((aligned(OSTRAKON_BLOCK_BYTES)));
static uint8_t message[OSTRAKON_MESSAGE_BYTES];

static ostrakon_mount *mount;
static int disk = -1, listener = -1;
static struct conn conns[CONNS];
static struct fence fences[FENCES];
static volatile sig_atomic_t told_to_leave;

static void die(const char *what, const char *why) {
    fprintf(stderr, "two_controllers: %s: %s\n", what, why);
    exit(1);
}

/* Every call that can only fail by a mistake of this program. */
static void must(const char *what, ostrakon_error error) {
    if (error != OSTRAKON_ERROR_NONE) die(what, ostrakon_error_text(error));
}

/* Whether a poll gave something: anything but "nothing" and "something" is a mistake of this program. */
static int gave(const char *what, ostrakon_error error) {
    if (error == OSTRAKON_ERROR_NOTHING) return 0;
    must(what, error);
    return 1;
}

/* ---- clock and random bytes ---- */

static uint64_t now_us(void) {
    struct timespec time;
    /* Goes on while the machine is suspended. */
    if (clock_gettime(CLOCK_BOOTTIME, &time) != 0) die("clock", strerror(errno));
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000u;
}

static void random_bytes(void *bytes, size_t length) {
    FILE *file = fopen("/dev/urandom", "rb");
    if (file == NULL || fread(bytes, 1, length, file) != length) die("/dev/urandom", "no random bytes");
    fclose(file);
}

/* ---- disk: reads past every cache, writes durable before they complete ---- */

static void disk_open(const char *path, int flags) {
    disk = open(path, O_RDWR | O_DSYNC | O_DIRECT | O_CLOEXEC | flags, 0600);
    /* Some file systems (tmpfs) know no O_DIRECT. Processes of one machine see the same page cache. */
    if (disk < 0 && errno == EINVAL) disk = open(path, O_RDWR | O_DSYNC | O_CLOEXEC | flags, 0600);
    if (disk < 0) die(path, strerror(errno));
}

static uint32_t disk_carry_out(const ostrakon_disk_request *request) {
    const off_t at = (off_t)(request->first_block * OSTRAKON_BLOCK_BYTES);
    const size_t bytes = (size_t)request->count * OSTRAKON_BLOCK_BYTES;
    const uint64_t began = now_us();
    ssize_t done = -1;
    switch (request->kind) {
    case OSTRAKON_DISK_KIND_READ:
        done = pread(disk, block, bytes, at);
        break;
    case OSTRAKON_DISK_KIND_WRITE:
        done = pwrite(disk, block, bytes, at);
        break;
    case OSTRAKON_DISK_KIND_FLUSH:
        done = fdatasync(disk) == 0 ? (ssize_t)bytes : -1;
        break;
    }
    if (now_us() - began > request->limit_us) return OSTRAKON_DISK_OUTCOME_TIMED_OUT;
    if (done == (ssize_t)bytes) return OSTRAKON_DISK_OUTCOME_DONE;
    return done < 0 && errno == EBADMSG ? OSTRAKON_DISK_OUTCOME_MEDIUM : OSTRAKON_DISK_OUTCOME_FAILED;
}

/* One request after the other, as there is one buffer. Returns whether anything was done. */
static int give_disk(void) {
    ostrakon_disk_request request;
    int busy = 0;
    while (gave("poll_disk", ostrakon_poll_disk(mount, now_us(), block, sizeof block, &request))) {
        const uint32_t outcome = disk_carry_out(&request);
        const int read = request.kind == OSTRAKON_DISK_KIND_READ && outcome == OSTRAKON_DISK_OUTCOME_DONE;
        must("handle_disk",
             ostrakon_handle_disk(mount, now_us(), request.id, outcome, read ? block : NULL,
                                  read ? (size_t)request.count * OSTRAKON_BLOCK_BYTES : 0));
        busy = 1;
    }
    return busy;
}

/* ---- network: nonblocking TCP ---- */

static struct conn *conn_find(uint32_t name) {
    size_t i;
    for (i = 0; i < CONNS; i++)
        if (conns[i].used && conns[i].name == name) return &conns[i];
    return NULL;
}

static struct conn *conn_add(uint32_t name, int fd, int connecting) {
    size_t i;
    for (i = 0; i < CONNS; i++) {
        if (conns[i].used) continue;
        conns[i].used = 1;
        conns[i].name = name;
        conns[i].fd = fd;
        conns[i].connecting = connecting;
        conns[i].rx_length = conns[i].tx_length = 0;
        return &conns[i];
    }
    die("connections", "more than the mount has names for");
    return NULL;
}

static void conn_drop(struct conn *conn) {
    close(conn->fd);
    conn->used = 0;
}

static void conn_lost(struct conn *conn, uint32_t reason) {
    const uint32_t name = conn->name;
    conn_drop(conn);
    must("handle_closed", ostrakon_handle_closed(mount, now_us(), name, reason));
}

static uint32_t close_reason(int error) {
    if (error == ECONNREFUSED) return OSTRAKON_CLOSE_REFUSED;
    return error == 0 || error == ECONNRESET || error == EPIPE ? OSTRAKON_CLOSE_BY_PEER : OSTRAKON_CLOSE_FAILED;
}

static int would_block(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int tcp_socket(void) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    if (fd < 0) die("socket", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return fd;
}

static struct sockaddr_in to_sockaddr(const ostrakon_address *address) {
    struct sockaddr_in to;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons(address->port);
    memcpy(&to.sin_addr, address->ip, 4);
    return to;
}

static void net_listen(const ostrakon_address *address) {
    const struct sockaddr_in at = to_sockaddr(address);
    int listens;
    listener = tcp_socket();
    listens = bind(listener, (const struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 16) == 0;
    if (!listens) {
        close(listener);
        listener = -1;
    }
    must("handle_listening", ostrakon_handle_listening(mount, now_us(), (uint32_t)listens));
}

static void net_connect(uint32_t name, const ostrakon_address *address) {
    const struct sockaddr_in to = to_sockaddr(address);
    struct conn *conn = conn_add(name, tcp_socket(), 1);
    if (address->family != 4) {
        conn_lost(conn, OSTRAKON_CLOSE_FAILED); /* this example speaks IPv4 only */
    } else if (connect(conn->fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        conn_lost(conn, close_reason(errno));
    }
}

static int conn_flush(struct conn *conn) {
    while (conn->tx_length > 0) {
        const ssize_t sent = send(conn->fd, conn->tx, conn->tx_length, MSG_NOSIGNAL);
        if (sent < 0) return would_block() ? 0 : errno;
        conn->tx_length -= (size_t)sent;
        memmove(conn->tx, conn->tx + sent, conn->tx_length);
    }
    return 0;
}

/* Returns whether anything was done: what is done here can give the mount something new to say. */
static int give_net(void) {
    ostrakon_net_request request;
    uint32_t name;
    size_t length;
    int busy = 0;
    while (gave("poll_net", ostrakon_poll_net(mount, now_us(), &request))) {
        struct conn *conn = conn_find(request.conn);
        busy = 1;
        switch (request.kind) {
        case OSTRAKON_NET_KIND_LISTEN:
            net_listen(&request.address);
            break;
        case OSTRAKON_NET_KIND_UNLISTEN:
            if (listener >= 0) close(listener);
            listener = -1;
            break;
        case OSTRAKON_NET_KIND_CONNECT:
            net_connect(request.conn, &request.address);
            break;
        case OSTRAKON_NET_KIND_CLOSE:
            if (conn != NULL) conn_drop(conn);
            break;
        }
    }
    while (gave("poll_transmit",
                ostrakon_poll_transmit(mount, now_us(), message, sizeof message, &name, &length))) {
        struct conn *conn = conn_find(name);
        if (conn == NULL) continue;
        if (length > TX_BYTES - conn->tx_length) {
            conn_lost(conn, OSTRAKON_CLOSE_FAILED); /* the peer takes nothing any more */
            continue;
        }
        memcpy(conn->tx + conn->tx_length, message, length);
        conn->tx_length += length;
        if (!conn->connecting && conn_flush(conn) != 0) conn_lost(conn, OSTRAKON_CLOSE_BY_PEER);
        busy = 1;
    }
    return busy;
}

static void net_accept(void) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        const int one = 1;
        uint32_t name;
        if (!gave("handle_accept", ostrakon_handle_accept(mount, now_us(), &name))) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conn_add(name, fd, 0);
    }
}

static void net_ready(struct conn *conn, short events) {
    if (conn->connecting && (events & (POLLOUT | POLLERR | POLLHUP))) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error != 0) {
            conn_lost(conn, close_reason(error));
            return;
        }
        conn->connecting = 0;
        must("handle_connected", ostrakon_handle_connected(mount, now_us(), conn->name));
    }
    if ((events & POLLOUT) && conn_flush(conn) != 0) {
        conn_lost(conn, OSTRAKON_CLOSE_BY_PEER);
        return;
    }
    if (events & (POLLIN | POLLHUP | POLLERR)) {
        const ssize_t got = recv(conn->fd, conn->rx + conn->rx_length, RX_BYTES - conn->rx_length, 0);
        size_t consumed = 0;
        if (got == 0 || (got < 0 && !would_block())) {
            conn_lost(conn, close_reason(got == 0 ? 0 : errno));
            return;
        }
        if (got > 0) conn->rx_length += (size_t)got;
        must("handle_bytes", ostrakon_handle_bytes(mount, now_us(), conn->name, conn->rx, conn->rx_length, &consumed));
        conn->rx_length -= consumed;
        memmove(conn->rx, conn->rx + consumed, conn->rx_length);
    }
}

/* ---- fence: kill the other controller's process, and wait until no thread of it is left ---- */

/* Whether this thread has ended, and with it the system call that it was in. */
static int thread_is_gone(pid_t pid, const char *thread) {
    char path[64], state = 0;
    FILE *file;
    snprintf(path, sizeof path, "/proc/%ld/task/%.20s/stat", (long)pid, thread);
    file = fopen(path, "r");
    if (file == NULL) return errno == ENOENT;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 0;
    fclose(file);
    return state == 'Z' || state == 'X';
}

/* Not before its last thread: of a process that is a zombie itself another thread may still be writing. */
static int process_is_gone(pid_t pid) {
    char path[64];
    DIR *threads;
    struct dirent *thread;
    int gone = 1;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    threads = opendir(path);
    if (threads == NULL) return errno == ENOENT;
    while (gone && (errno = 0, thread = readdir(threads)) != NULL) {
        if (thread->d_name[0] != '.') gone = thread_is_gone(pid, thread->d_name);
    }
    if (errno != 0 && errno != ENOENT) gone = 0;
    closedir(threads);
    return gone;
}

static void fence_fire(const ostrakon_fence_request *request) {
    char param[OSTRAKON_FENCE_PARAM_BYTES + 1];
    long pid = 0;
    size_t i;
    memcpy(param, request->fence_param, OSTRAKON_FENCE_PARAM_BYTES);
    param[OSTRAKON_FENCE_PARAM_BYTES] = 0;
    for (i = 0; i < FENCES && fences[i].used; i++) continue;
    if (sscanf(param, "pid=%ld", &pid) != 1 || pid <= 1 || pid == (long)getpid() || i == FENCES) {
        must("handle_fence", ostrakon_handle_fence(mount, now_us(), request->victim, OSTRAKON_FENCE_OUTCOME_FAILED));
        return;
    }
    kill((pid_t)pid, SIGKILL); /* one that is gone already is what we want */
    fences[i].used = 1;
    fences[i].victim = request->victim;
    fences[i].pid = (pid_t)pid;
}

/* Returns whether a fence is still waited for. */
static int take_fences(void) {
    int waiting = 0;
    size_t i;
    for (i = 0; i < FENCES; i++) {
        if (!fences[i].used) continue;
        if (process_is_gone(fences[i].pid)) {
            fences[i].used = 0;
            must("handle_fence_by",
                 ostrakon_handle_fence_by(mount, now_us(), fences[i].victim, OSTRAKON_FENCE_OUTCOME_DONE,
                                          (const uint8_t *)"SIGKILL", 7));
        } else {
            waiting = 1;
        }
    }
    return waiting;
}

/* ---- the loop ---- */

/* Prints what the mount tells; returns whether that was its last word. */
static int give_events(void) {
    ostrakon_event event;
    int ended = 0;
    while (gave("poll_event", ostrakon_poll_event(mount, &event))) {
        const char *kind, *detail;
        ostrakon_event_text(event.kind, event.detail, &kind, &detail);
        printf("%s", kind);
        if (event.detail != OSTRAKON_DETAIL_NONE) printf(": %s", detail);
        if (event.ballot.rid != 0) printf(" term=%" PRIu64 " rid=%016" PRIx64, event.ballot.term, event.ballot.rid);
        if (event.count != 0 || event.needed != 0) printf(" count=%" PRIu32 " needed=%" PRIu32, event.count, event.needed);
        printf("\n");
        ended |= event.kind == OSTRAKON_EVENT_KIND_UNMOUNTED;
    }
    return ended;
}

/* What the appliance is for: only the controller that has the right to act is active. */
static void act(void) {
    static int active;
    ostrakon_ballot right;
    const int may_act = gave("right", ostrakon_right(mount, now_us(), &right));
    if (may_act != active) printf("%s\n", may_act ? "ACTIVE" : "STANDBY");
    active = may_act;
}

static int wait_ms(int busy, int fencing) {
    uint64_t deadline, now;
    if (busy) return 0;
    if (!gave("next_deadline", ostrakon_next_deadline(mount, &deadline))) deadline = UINT64_MAX;
    now = now_us();
    if (fencing) return FENCE_LOOK_MS;
    if (deadline <= now) return 0;
    deadline = (deadline - now + 999) / 1000;
    return deadline > 1000 ? 1000 : (int)deadline;
}

static void take_net(int timeout_ms) {
    struct pollfd fds[CONNS + 1];
    uint32_t names[CONNS];
    size_t count = 0, i;
    for (i = 0; i < CONNS; i++) {
        if (!conns[i].used) continue;
        names[count] = conns[i].name;
        fds[count].fd = conns[i].fd;
        fds[count].events = conns[i].tx_length < OSTRAKON_MESSAGE_BYTES ? POLLIN : 0;
        if (conns[i].connecting || conns[i].tx_length > 0) fds[count].events |= POLLOUT;
        fds[count++].revents = 0;
    }
    fds[count].fd = listener; /* -1 is left out by poll */
    fds[count].events = POLLIN;
    fds[count].revents = 0;
    if (poll(fds, (nfds_t)count + 1, timeout_ms) < 0) return; /* a signal: looked at by the caller */
    for (i = 0; i < count; i++) {
        struct conn *conn = fds[i].revents != 0 ? conn_find(names[i]) : NULL;
        if (conn != NULL) net_ready(conn, fds[i].revents);
    }
    if (fds[count].revents != 0) net_accept();
}

static void run(void) {
    int busy = 1, fencing = 0, ended = 0, leaving = 0;
    while (!ended) {
        ostrakon_fence_request request;
        /* Everything that has come in, before the mount may judge that a time has passed. */
        take_net(wait_ms(busy, fencing));
        take_fences();
        if (told_to_leave && !leaving) {
            leaving = 1;
            must("unmount", ostrakon_unmount(mount, now_us()));
        }
        must("set_unix_time", ostrakon_set_unix_time(mount, (uint64_t)time(NULL)));
        must("poll", ostrakon_poll(mount, now_us()));
        ended = give_events();
        busy = give_net();
        while (gave("poll_fence", ostrakon_poll_fence(mount, now_us(), &request))) fence_fire(&request);
        busy |= give_disk();
        fencing = take_fences();
        act();
        fflush(stdout);
    }
    must("release", ostrakon_release(mount));
}

static void on_signal(int signal) {
    (void)signal;
    told_to_leave = 1;
}

static void start(const char *image, uint16_t port) {
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    ostrakon_config config;
    disk_open(image, 0);
    must("config", ostrakon_config_default(&config));
    random_bytes(&config.rid, sizeof config.rid);
    random_bytes(&config.seed, sizeof config.seed);
    config.rid |= 1; /* never 0 */
    config.voter = 1;
    config.can_fence = 1;
    config.server_addr.family = 4;
    config.server_addr.port = port;
    memcpy(config.server_addr.ip, loopback, sizeof loopback);
    snprintf((char *)config.fence_param, sizeof config.fence_param, "pid=%ld", (long)getpid());
    must("start", ostrakon_start(memory.bytes, sizeof memory.bytes, CLIENTS, now_us(), &config, &mount));
}

static void format(const char *image) {
    ostrakon_new_volume volume;
    uint64_t step, at;
    memset(&volume, 0, sizeof volume);
    random_bytes(volume.id, sizeof volume.id);
    random_bytes(volume.key, sizeof volume.key);
    volume.device_blocks = IMAGE_BLOCKS;
    volume.clients_max = CLIENTS;
    volume.quorum_count = 1;
    disk_open(image, O_CREAT | O_EXCL);
    if (ftruncate(disk, (off_t)IMAGE_BLOCKS * OSTRAKON_BLOCK_BYTES) != 0) die(image, strerror(errno));
    for (step = 0; gave("format", ostrakon_format_block(&volume, step, block, sizeof block, &at)); step++)
        if (pwrite(disk, block, sizeof block, (off_t)(at * OSTRAKON_BLOCK_BYTES)) != (ssize_t)sizeof block)
            die(image, strerror(errno));
}

/* A bug of ostrakon was found: a firmware resets the machine here, which makes the other controller take over. */
void ostrakon_platform_panic(const uint8_t *file, size_t length, uint32_t line);
void ostrakon_platform_panic(const uint8_t *file, size_t length, uint32_t line) {
    fprintf(stderr, "two_controllers: panic at %.*s:%" PRIu32 "\n", (int)length, (const char *)file, line);
    abort();
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "format") == 0) {
        format(argv[2]);
    } else if (argc == 4 && strcmp(argv[1], "run") == 0) {
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
        start(argv[2], (uint16_t)strtoul(argv[3], NULL, 10));
        run();
    } else {
        fprintf(stderr, "usage: two_controllers format IMAGE | two_controllers run IMAGE PORT\n");
        return 2;
    }
    return 0;
}

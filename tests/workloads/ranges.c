/* SPDX-License-Identifier: Apache-2.0
 * ranges [leaderless]: maps and unmaps memory in every way there is, and knows what stands: bytes by thread and kind. One
 * story a line read, printed at a quiet point; told by another thread if the main thread is to end first. Nothing in here
 * allocates unless the story is about that. */
#include "truth.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define PAGE ((size_t)4096)
#define MAX_SUMS 64
#define THREADS 8

/* ---- what stands ------------------------------------------------------------------------------------------------- */
static struct sum {
  long tid;
  const char* kind;
  int64_t bytes;
} sums[MAX_SUMS];
static int sum_count;
static pthread_mutex_t sums_lock = PTHREAD_MUTEX_INITIALIZER;

static long self(void) {
  return syscall(SYS_gettid);
}

static void stands_for(long tid, const char* kind, int64_t bytes) {
  int i = 0;
  pthread_mutex_lock(&sums_lock);
  while (i < sum_count && (sums[i].tid != tid || strcmp(sums[i].kind, kind) != 0)) ++i;
  if (i == MAX_SUMS) abort();
  if (i == sum_count) sums[sum_count++] = (struct sum){tid, kind, 0};
  sums[i].bytes += bytes;
  pthread_mutex_unlock(&sums_lock);
}

static void stands(const char* kind, int64_t bytes) {
  stands_for(self(), kind, bytes);
}

static void print_standing(void) {
  static char line[8192];
  size_t used = (size_t)snprintf(line, sizeof(line), "{\"pid\":%ld,\"sums\":[", (long)getpid());
  for (int i = 0; i < sum_count; ++i)
    used += (size_t)snprintf(line + used, sizeof(line) - used, "%s{\"tid\":%ld,\"kind\":\"%s\",\"bytes\":%lld}",
                             i > 0 ? "," : "", sums[i].tid, sums[i].kind, (long long)sums[i].bytes);
  used += (size_t)snprintf(line + used, sizeof(line) - used, "]}\n");
  truth_write(line, used);
}

static void must(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "ranges: %s: %s\n", what, strerror(errno));
  _exit(4);
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */
TRUTH_NOINLINE static char* map_at(void* at, size_t bytes, int protection, int flags, int fd) {
  char* got = mmap(at, bytes, protection, flags, fd, 0);
  must(got != MAP_FAILED, "mmap");
  return got;
}

TRUTH_NOINLINE static char* map_own(size_t bytes) {
  char* got = map_at(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  stands("anonymous", (int64_t)bytes);
  return got;
}

static void unmap_own(char* at, size_t bytes) {
  must(munmap(at, bytes) == 0, "munmap");
  stands("anonymous", -(int64_t)bytes);
}

/* Free room of that many pages, whose address nobody else takes while we are alone. */
static char* free_room(size_t pages) {
  char* room = map_at(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  must(munmap(room, pages * PAGE) == 0, "munmap");
  return room;
}

static char* map_fixed(char* at, size_t pages) {
  char* got = map_at(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
  stands("anonymous", (int64_t)(pages * PAGE));
  return got;
}

/* ---- stories --------------------------------------------------------------------------------------------------------- */
static void unmapping(void) {
  char* whole = map_own(16 * PAGE);
  unmap_own(whole + 6 * PAGE, 4 * PAGE); /* the middle */
  unmap_own(whole, 2 * PAGE);            /* the head */
  unmap_own(whole + 14 * PAGE, 2 * PAGE); /* the tail */
  char* room = free_room(20);
  map_fixed(room, 4);
  map_fixed(room + 6 * PAGE, 4);
  map_fixed(room + 12 * PAGE, 4);
  must(munmap(room + 2 * PAGE, 12 * PAGE) == 0, "spanning munmap"); /* over three ranges and two holes */
  stands("anonymous", -(int64_t)(8 * PAGE));
  must(munmap(room + 1, PAGE) == -1 && errno == EINVAL, "munmap off the page");
  must(munmap(room + 4 * PAGE, PAGE) == 0, "munmap of nothing");
  unmap_own(map_own(3 * PAGE), 3 * PAGE);
  must(munmap(map_at(NULL, 100, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1), 5) == 0, "munmap of part of a page");
}

static void fixed(void) {
  char* room = free_room(32);
  map_fixed(room, 16);
  map_fixed(room + 4 * PAGE, 4); /* over the middle of the first */
  stands("anonymous", -(int64_t)(4 * PAGE));
  map_fixed(room + 12 * PAGE, 8); /* over its end and beyond */
  stands("anonymous", -(int64_t)(4 * PAGE));
  must(mmap(room, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED &&
           errno == EEXIST,
       "MAP_FIXED_NOREPLACE over a range");
  map_at(room + 24 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1);
  stands("anonymous", (int64_t)PAGE);
  must(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED, "mmap of nothing");
  must(mmap(NULL, (size_t)1 << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED, "mmap of too much");
  must(mmap(room, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 99, 0) == MAP_FAILED, "mmap of no file, fixed");
}

static char* remap(char* from, size_t old_pages, size_t new_pages, int flags, char* to) {
  return mremap(from, old_pages * PAGE, new_pages * PAGE, flags, to);
}

static void remapping(void) {
  char* room = free_room(64);
  map_fixed(room, 4);
  must(remap(room, 4, 8, 0, NULL) == room, "mremap that grows in place");
  stands("anonymous", (int64_t)(4 * PAGE));
  must(remap(room, 8, 5, 0, NULL) == room, "mremap that shrinks");
  stands("anonymous", -(int64_t)(3 * PAGE));
  map_fixed(room + 5 * PAGE, 1);
  must(remap(room, 5, 9, 0, NULL) == MAP_FAILED, "mremap that may not move");
  must(remap(room + 40 * PAGE, 1, 2, MREMAP_MAYMOVE, NULL) == MAP_FAILED, "mremap of nothing");
  char* moved = remap(room, 5, 9, MREMAP_MAYMOVE, NULL);
  must(moved != MAP_FAILED && moved != room, "mremap that moves");
  stands("anonymous", (int64_t)(4 * PAGE));
  must(remap(moved, 9, 3, MREMAP_MAYMOVE | MREMAP_FIXED, room + 32 * PAGE) == room + 32 * PAGE, "mremap to a place");
  stands("anonymous", -(int64_t)(6 * PAGE));
  map_fixed(room + 48 * PAGE, 4);
  must(remap(room + 32 * PAGE, 3, 3, MREMAP_MAYMOVE | MREMAP_FIXED, room + 49 * PAGE) == room + 49 * PAGE,
       "mremap over a range");
  stands("anonymous", -(int64_t)(3 * PAGE));
  char* kept = map_own(2 * PAGE);
  must(remap(kept, 2, 2, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) != MAP_FAILED, "mremap that keeps the old");
  stands("anonymous", (int64_t)(2 * PAGE));
  char* shared = map_at(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
  stands("shared", (int64_t)(4 * PAGE));
  must(mremap(shared, 0, 3 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED, "mremap that makes a second view");
  stands("shared", (int64_t)(3 * PAGE));
}

static char* program_break(char* to) {
  return (char*)syscall(SYS_brk, to);
}

static void breaking(void) {
  char* start = program_break(NULL);
  char* first = (char*)(((uintptr_t)start + PAGE - 1) & ~(PAGE - 1));
  must(program_break(first + 6 * PAGE + 100) == first + 6 * PAGE + 100, "brk up");
  stands("anonymous", (int64_t)(7 * PAGE));
  must(program_break(first + 2 * PAGE) == first + 2 * PAGE, "brk down");
  stands("anonymous", -(int64_t)(5 * PAGE));
  must(program_break(first + 2 * PAGE - 50) == first + 2 * PAGE - 50, "brk down within a page");
  char* now = program_break(NULL);
  must(program_break((char*)PAGE) == now, "brk below the heap's start");
  must(program_break((char*)((uintptr_t)1 << 46)) == now, "brk far too high");
}

static void advising(void) {
  char* own = map_own(16 * PAGE);
  memset(own, 1, 16 * PAGE);
  must(madvise(own, 4 * PAGE, MADV_DONTNEED) == 0, "MADV_DONTNEED");
  must(madvise(own + 4 * PAGE, 4 * PAGE, MADV_FREE) == 0, "MADV_FREE");
  must(madvise(own, 16 * PAGE, MADV_WILLNEED) == 0, "MADV_WILLNEED");
  must(madvise(own + 1, PAGE, MADV_DONTNEED) == -1, "MADV_DONTNEED off the page");
  char* shared = map_at(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
  stands("shared", (int64_t)(4 * PAGE));
  must(madvise(shared, 2 * PAGE, MADV_REMOVE) == 0, "MADV_REMOVE");
}

static void segments(void) {
  const int id = shmget(IPC_PRIVATE, 5 * PAGE, IPC_CREAT | 0600);
  must(id >= 0, "shmget");
  char* first = shmat(id, NULL, 0);
  char* second = shmat(id, NULL, SHM_RDONLY);
  must(first != (void*)-1 && second != (void*)-1, "shmat");
  must(shmctl(id, IPC_RMID, NULL) == 0, "shmctl");
  must(shmat(id + 12345, NULL, 0) == (void*)-1, "shmat of no segment");
  must(shmdt(first) == 0, "shmdt");
  must(shmdt(first) == -1, "shmdt again");
  stands("shared", (int64_t)(5 * PAGE));
}

static void reserving(void) {
  const size_t tebibyte = (size_t)1 << 40;
  char* space = map_at(NULL, tebibyte, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  must(mprotect(space + 10 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
  must(mprotect(space + 12 * PAGE, 1 * PAGE, PROT_NONE) == 0, "mprotect back");
  stands("reserved", (int64_t)(tebibyte - 3 * PAGE));
  stands("anonymous", (int64_t)(3 * PAGE));
  must(mprotect(space + tebibyte + 64 * PAGE, PAGE, PROT_READ) == -1, "mprotect of nothing");
}

static void kinds(void) {
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  const int memory = memfd_create("kinds", MFD_CLOEXEC);
  must(file >= 0 && memory >= 0 && ftruncate(memory, 2 * (off_t)PAGE) == 0, "files");
  map_at(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, file);
  stands("file", (int64_t)(3 * PAGE));
  map_at(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory);
  stands("shared", (int64_t)(2 * PAGE));
  map_at(NULL, 7 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1);
  stands("thread_stack", (int64_t)(7 * PAGE));
  map_own(PAGE);
  void* block = malloc(1 << 20); /* above glibc's threshold: a map of its own, with a page for its header */
  TRUTH_HIDE(block);
  stands("allocator", (1 << 20) + (int64_t)PAGE);
  close(file);
  close(memory);
}

static void* in_arena(void* argument) {
  (void)argument;
  void* block = malloc(100); /* a second thread's first block makes an arena: 64 MiB of address space */
  TRUTH_HIDE(block);
  stands("allocator", (int64_t)64 << 20);
  return NULL;
}

static void arena(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * PAGE);
  must(pthread_create(&thread, &attributes, in_arena, NULL) == 0, "pthread_create");
  pthread_join(thread, NULL);
  stands("thread_stack", (int64_t)(65 * PAGE)); /* kept by glibc for the next thread; with its guard */
}

/* ---- eight threads, neighbours ----------------------------------------------------------------------------------------- */
static pthread_barrier_t barrier;
static int rounds;

static void* neighbour(void* argument) {
  uint32_t random = 12345u + (uint32_t)(uintptr_t)argument;
  char* held[16] = {0};
  size_t pages[16] = {0};
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < rounds; ++i) {
    random = random * 1664525u + 1013904223u;
    const int slot = (int)(random >> 28);
    if (!held[slot]) {
      pages[slot] = 1 + (random >> 24 & 3);
      held[slot] = map_at(NULL, pages[slot] * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    } else if (pages[slot] > 1 && (random >> 20 & 1)) { /* only the first page */
      must(munmap(held[slot], PAGE) == 0, "munmap");
      held[slot] += PAGE;
      --pages[slot];
    } else {
      must(munmap(held[slot], pages[slot] * PAGE) == 0, "munmap");
      held[slot] = NULL;
    }
  }
  for (int slot = 0; slot < 16; ++slot)
    if (held[slot]) stands("anonymous", (int64_t)(pages[slot] * PAGE));
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier); /* their stacks stand for as long as the test looks */
  return NULL;
}

static void neighbours(int how_many_rounds) {
  pthread_attr_t attributes;
  rounds = how_many_rounds;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * PAGE);
  must(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0, "barrier");
  for (uintptr_t i = 0; i < THREADS; ++i) {
    pthread_t thread;
    must(pthread_create(&thread, &attributes, neighbour, (void*)i) == 0, "pthread_create");
    pthread_detach(thread);
  }
  stands("thread_stack", (int64_t)(THREADS * 65 * PAGE)); /* with their guards */
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
}

/* ---- other processes ---------------------------------------------------------------------------------------------------- */
static int child_maps(void* argument) {
  const long me = self();
  char* got = mmap(NULL, 6 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED || munmap(got, PAGE) != 0) _exit(5);
  if (argument) stands_for(me, "anonymous", (int64_t)(5 * PAGE)); /* in the parent's memory, which it shares */
  _exit(0);
}

static void wait_for(pid_t child, int options) {
  int status = 0;
  must(waitpid(child, &status, options) == child && status == 0, "child");
}

static void forking(void) {
  map_own(2 * PAGE);
  const pid_t child = fork();
  if (child == 0) child_maps(NULL); /* its own copy: none of the target's */
  wait_for(child, 0);
}

static char clone_stack[64 * 1024];

static void sharing(void) {
  map_own(2 * PAGE);
  const pid_t sharer = clone(child_maps, clone_stack + sizeof(clone_stack), CLONE_VM | SIGCHLD, (void*)1);
  must(sharer > 0, "clone with CLONE_VM");
  wait_for(sharer, 0);
  const pid_t copier = clone(child_maps, clone_stack + sizeof(clone_stack), SIGCHLD, NULL);
  must(copier > 0, "clone without CLONE_VM");
  wait_for(copier, 0);
  const pid_t child = vfork();
  if (child == 0) {
    char* got = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) _exit(5);
    stands("anonymous", (int64_t)(3 * PAGE));
    _exit(0);
  }
  wait_for(child, 0);
}

/* ---- much ------------------------------------------------------------------------------------------------------------------ */
static void hurry(int pairs) {
  for (int i = 0; i < pairs; ++i)
    must(munmap(map_at(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1), PAGE) == 0, "munmap");
}

/* So many ranges that the kernel cannot make one of two neighbours. */
static void many(int count) {
  char* space = map_at(NULL, (size_t)count * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  for (int i = 0; i < count; i += 2)
    must(mprotect(space + (size_t)i * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
  stands("anonymous", (int64_t)count * (int64_t)PAGE);
}

/* By the i386 interface, which a 64-bit program may use too. */
static void compat(void) {
#ifdef __x86_64__
  long got = 192; /* mmap2 */
  __asm__ volatile(
      "push %%rbp\n\txor %%ebp, %%ebp\n\tint $0x80\n\tpop %%rbp"
      : "+a"(got)
      : "b"(0L), "c"((long)(4 * PAGE)), "d"((long)PROT_READ), "S"((long)(MAP_PRIVATE | MAP_ANONYMOUS)), "D"(-1L)
      : "memory", "r8", "r9", "r10", "r11");
  must(got > 0, "mmap2 by int 0x80");
#endif
}

static void tell(const char* story) {
  const char* number = strchr(story, ' ');
  const int count = number ? atoi(number + 1) : 0;
#define STORY(name) \
  if (strcmp(story, #name) == 0) name()
#define COUNTED(name) \
  if (strncmp(story, #name " ", sizeof(#name)) == 0) name(count)
  STORY(unmapping);
  STORY(fixed);
  STORY(remapping);
  STORY(breaking);
  STORY(advising);
  STORY(segments);
  STORY(reserving);
  STORY(kinds);
  STORY(arena);
  STORY(forking);
  STORY(sharing);
  STORY(compat);
  COUNTED(neighbours);
  COUNTED(hurry);
  COUNTED(many);
}

static void* tell_stories(void* arguments) {
  char line[64];
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    if (strcmp(line, "exec") == 0) {
      execv("/proc/self/exe", arguments);
      _exit(6);
    }
    tell(line);
    print_standing();
  }
  _exit(0);
}

int main(int argc, char** argv) {
  void* first = malloc(1); /* what makes the heap is older than any story */
  TRUTH_HIDE(first);
  free(first);
  if (argc > 1) {
    pthread_t teller;
    must(pthread_create(&teller, NULL, tell_stories, argv) == 0, "pthread_create");
    pthread_exit(NULL);
  }
  tell_stories(argv);
}

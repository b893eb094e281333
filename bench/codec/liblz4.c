/* The C library as a peer: compresses and decompresses every page of a file, one after the other.
   Prints MB/s (10^6 bytes of pages a second of CPU time) of both and the ratio. Prototypes are declared here, so
   that the library is enough and no development package is needed. Usage: liblz4 FILE PAGESIZE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LZ4_compress_default(const char *source, char *target, int size, int capacity);
int LZ4_decompress_safe(const char *source, char *target, int size, int capacity);
const char *LZ4_versionString(void);

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int count, char **args) {
  if (count != 3) return 2;
  int page = atoi(args[2]), slot = page + page / 255 + 16;
  FILE *file = fopen(args[1], "rb");
  if (!file) return 1;
  fseek(file, 0, SEEK_END);
  long pages = ftell(file) / page;
  rewind(file);
  char *plain = malloc(pages * page), *packed = malloc(pages * slot), *out = malloc(pages * page);
  int *sizes = malloc(pages * sizeof(int));
  if (fread(plain, page, pages, file) != (size_t)pages) return 1;
  memset(packed, 1, pages * slot);
  memset(out, 1, pages * page);
  long total = 0;
  double start = seconds();
  for (long i = 0; i < pages; i++)
    total += sizes[i] = LZ4_compress_default(plain + i * page, packed + i * slot, page, slot);
  double compressed = seconds();
  for (long i = 0; i < pages; i++)
    if (LZ4_decompress_safe(packed + i * slot, out + i * page, sizes[i], page) != page) return 1;
  double end = seconds();
  if (memcmp(plain, out, pages * page)) return 1;
  double mb = pages * page / 1e6;
  printf("{\"version\":\"%s\",\"compress\":%.1f,\"decompress\":%.1f,\"ratio\":%.4f}\n", LZ4_versionString(),
         mb / (compressed - start), mb / (end - compressed), total / 1e6 / mb);
  return 0;
}

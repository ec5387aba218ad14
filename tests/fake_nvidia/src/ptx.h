/* A small PTX interpreter: runs the kernels that FFmpeg hands to cuModuleLoadData. Enough of the instruction set for
 * its scaling, padding, turning, overlaying and deinterlacing filters: no shared memory, barriers, atomics or calls. */
#ifndef FAKENV_PTX_H
#define FAKENV_PTX_H
struct ptx_kernel;
struct ptx_kernel *ptx_load(const char *entry); /* text from ".entry name(" on */
const char *ptx_unknown(const struct ptx_kernel *k); /* the first thing that it cannot run, or NULL */
int ptx_run(const struct ptx_kernel *k, unsigned grid_x, unsigned grid_y, unsigned block_x, unsigned block_y,
            void **arguments); /* a CUresult */
void ptx_free(struct ptx_kernel *k);
#endif

"""The words of CUDA C++ that the suite uses, for clang's HIP without ROCm: no headers and no device library, builtins alone."""

SOURCE = r"""
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __umulhi(a, b) ((unsigned)(((unsigned long)(a) * (b)) >> 32))
struct Index { int x, y, z; };
#define INDEX(name) (Index{(int)__builtin_amdgcn_##name##_x(), (int)__builtin_amdgcn_##name##_y(), (int)__builtin_amdgcn_##name##_z()})
#define threadIdx INDEX(workitem_id)
#define blockIdx INDEX(workgroup_id)
#define blockDim INDEX(workgroup_size)
#define gridDim (Index{(int)(__builtin_amdgcn_grid_size_x() / __builtin_amdgcn_workgroup_size_x()), 1, 1})
static inline __device__ void __syncthreads() {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
static inline __device__ int atomicAdd(int *p, int v) { return __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT); }
static inline __device__ int _lane() { return __builtin_amdgcn_mbcnt_hi(-1, __builtin_amdgcn_mbcnt_lo(-1, 0)); }
static inline __device__ int _from(int lane, int v) { return __builtin_amdgcn_ds_bpermute(lane << 2, v); }
static inline __device__ float _from(int lane, float v) { return __builtin_bit_cast(float, _from(lane, __builtin_bit_cast(int, v))); }
template <class T> static inline __device__ T __shfl_down_sync(unsigned, T v, int n) {
    int lane = _lane();
    return _from((lane & 31) + n < 32 ? lane + n : lane, v);
}
template <class T> static inline __device__ T __shfl_up_sync(unsigned, T v, int n) {
    int lane = _lane();
    return _from((lane & 31) - n >= 0 ? lane - n : lane, v);
}
template <class T> static inline __device__ T __shfl_xor_sync(unsigned, T v, int n) { return _from(_lane() ^ n, v); }
static inline __device__ float sqrtf(float x) { return __builtin_sqrtf(x); }
static inline __device__ float expf(float x) { return __builtin_expf(x); }
static inline __device__ float fabsf(float x) { return __builtin_fabsf(x); }
static inline __device__ float fminf(float x, float y) { return __builtin_fminf(x, y); }
static inline __device__ float fmaxf(float x, float y) { return __builtin_fmaxf(x, y); }
static inline __device__ float sqrt(float x) { return __builtin_sqrtf(x); }
static inline __device__ float exp(float x) { return __builtin_expf(x); }
static inline __device__ float log(float x) { return __builtin_logf(x); }
static inline __device__ float min(float x, float y) { return __builtin_fminf(x, y); }
static inline __device__ float max(float x, float y) { return __builtin_fmaxf(x, y); }
"""

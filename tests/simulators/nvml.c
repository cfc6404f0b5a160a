/*
 * A simulated `libnvidia-ml.so.1`: NVML's entry points over a machine that lives in one mapped
 * file, named by the environment variable SIMULATED_NVML and steered from Python (gpu.py).
 *
 * There is no process behind it. What a counter shows is computed at each call from the power steps
 * in the file, so the truth is known to the last femtojoule, and no busy test can bend it.
 *
 * Times are CLOCK_MONOTONIC nanoseconds, powers whole microwatts, energies whole femtojoules.
 * The layout of the file is the one of gpu_tools.py; a test compares them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    MAX_DEVICES = 16,
    MAX_STEPS = 8192,
    MAX_EVENTS = 512,
    MAX_PROCESSES = 64,
    MAX_ENTRY_POINTS = 64,
    MAX_MIG = 8,
};

static const uint64_t MAGIC = 0x4C4D564E00000001;
static const int64_t NS_PER_S = 1000000000;
static const int64_t FJ_PER_MJ = 1000000000000;
static const int64_t SAMPLE_US = 166667; /* the driver looks at processes six times a second */
static const unsigned FIRST_GPU_INSTANCE = 7; /* the number of the first of the smallest slices */

typedef __int128 femtojoules;

/* ---- the file ---- */

struct step {
    int64_t t_ns;
    int64_t low_uw;
    int64_t high_uw;
    int64_t period_ns; /* 0: constant */
    int64_t high_ns;
    int64_t phase_ns;
    int64_t base_mj;
    int64_t base_rest_fj;
};

struct rail {
    int64_t step_count;
    int64_t start_mj;
    struct step steps[MAX_STEPS];
};

enum kind { RESET = 1, STOP = 2, GO = 3 };

struct event {
    int64_t t_ns;
    int64_t kind;
};

struct process {
    uint64_t memory_bytes;
    int64_t since_us;
    uint32_t pid;
    uint32_t utilisation_percent;
    int32_t mig;
    uint32_t graphics;
};

enum rail_number { GPU, MODULE, RAILS };

struct device {
    char name[96];
    char uuid[96];
    int64_t tick_ns;
    int64_t tick_origin_ns;
    int64_t jitter_ns;
    int64_t update_ns;
    int64_t update_origin_ns;
    int64_t usage_window_ns;
    int64_t average_window_ns;
    int64_t instant_window_ns;
    int64_t slow_ns;
    uint64_t memory_bytes;
    uint64_t memory_reserved_bytes;
    uint64_t memory_used_bytes;
    uint32_t architecture;
    uint32_t limit_mw;
    uint32_t min_limit_mw;
    uint32_t gpu_percent;
    uint32_t memory_percent;
    uint32_t temperature_c;
    uint32_t has_counter;
    uint32_t has_module;
    uint32_t mig_capacity;
    uint32_t mig_enabled;
    uint32_t mig_instances;
    uint32_t mig_denied;
    uint32_t lost;
    uint32_t denied;
    uint32_t hidden;
    uint32_t process_count;
    struct process processes[MAX_PROCESSES];
    int64_t event_count;
    struct event events[MAX_EVENTS];
    struct rail rails[RAILS];
};

struct state {
    uint64_t magic;
    uint64_t sequence; /* odd while somebody writes */
    int64_t start_ns;
    int64_t slow_ns;
    uint32_t driver_loaded;
    uint32_t driver_generation;
    uint32_t device_count;
    uint32_t cuda_version;
    char driver_version[80];
    char nvml_version[80];
    uint64_t calls[MAX_ENTRY_POINTS];
    struct device devices[MAX_DEVICES];
};

struct layout_row {
    const char *name;
    uint64_t offset;
    uint64_t size;
};

#define WHOLE(type) {#type, 0, sizeof(struct type)}
#define FIELD(type, field) {#type "." #field, offsetof(struct type, field), \
                            sizeof(((struct type *)NULL)->field)}

EXPORT const struct layout_row simulated_nvml_layout[] = {
    WHOLE(step), FIELD(step, t_ns), FIELD(step, low_uw), FIELD(step, high_uw),
    FIELD(step, period_ns), FIELD(step, high_ns), FIELD(step, phase_ns), FIELD(step, base_mj),
    FIELD(step, base_rest_fj),
    WHOLE(rail), FIELD(rail, step_count), FIELD(rail, start_mj), FIELD(rail, steps),
    WHOLE(event), FIELD(event, t_ns), FIELD(event, kind),
    WHOLE(process), FIELD(process, memory_bytes), FIELD(process, since_us), FIELD(process, pid),
    FIELD(process, utilisation_percent), FIELD(process, mig), FIELD(process, graphics),
    WHOLE(device), FIELD(device, name), FIELD(device, uuid), FIELD(device, tick_ns),
    FIELD(device, tick_origin_ns), FIELD(device, jitter_ns), FIELD(device, update_ns),
    FIELD(device, update_origin_ns), FIELD(device, usage_window_ns),
    FIELD(device, average_window_ns), FIELD(device, instant_window_ns), FIELD(device, slow_ns),
    FIELD(device, memory_bytes), FIELD(device, memory_reserved_bytes),
    FIELD(device, memory_used_bytes), FIELD(device, architecture), FIELD(device, limit_mw),
    FIELD(device, min_limit_mw), FIELD(device, gpu_percent), FIELD(device, memory_percent),
    FIELD(device, temperature_c), FIELD(device, has_counter), FIELD(device, has_module),
    FIELD(device, mig_capacity), FIELD(device, mig_enabled), FIELD(device, mig_instances),
    FIELD(device, mig_denied), FIELD(device, lost), FIELD(device, denied), FIELD(device, hidden),
    FIELD(device, process_count), FIELD(device, processes), FIELD(device, event_count),
    FIELD(device, events), FIELD(device, rails),
    WHOLE(state), FIELD(state, magic), FIELD(state, sequence), FIELD(state, start_ns),
    FIELD(state, slow_ns), FIELD(state, driver_loaded), FIELD(state, driver_generation),
    FIELD(state, device_count), FIELD(state, cuda_version), FIELD(state, driver_version),
    FIELD(state, nvml_version), FIELD(state, calls), FIELD(state, devices),
    {NULL, 0, 0},
};

/* ---- NVML's own types, as in nvml.h ---- */

typedef enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NO_PERMISSION = 4,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_ERROR_UNKNOWN = 999,
} nvmlReturn_t;

/* A device, or with `mig` >= 0 one of its instances. */
struct nvmlDevice_st {
    unsigned index;
    int mig;
};
typedef const struct nvmlDevice_st *nvmlDevice_t;

typedef struct {
    char busIdLegacy[16];
    unsigned domain;
    unsigned bus;
    unsigned device;
    unsigned pciDeviceId;
    unsigned pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;

typedef struct {
    unsigned gpu;
    unsigned memory;
} nvmlUtilization_t;

typedef struct {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
} nvmlMemory_t;

typedef struct {
    unsigned version;
    unsigned long long total;
    unsigned long long reserved;
    unsigned long long free;
    unsigned long long used;
} nvmlMemory_v2_t;

typedef struct {
    unsigned pid;
    unsigned long long usedGpuMemory;
    unsigned gpuInstanceId;
    unsigned computeInstanceId;
} nvmlProcessInfo_t;

typedef struct {
    unsigned pid;
    unsigned long long timeStamp;
    unsigned smUtil;
    unsigned memUtil;
    unsigned encUtil;
    unsigned decUtil;
} nvmlProcessUtilizationSample_t;

typedef struct {
    unsigned version;
    unsigned sensorType;
    int temperature;
} nvmlTemperature_t;

typedef union {
    double dVal;
    unsigned uiVal;
    unsigned long ulVal;
    unsigned long long ullVal;
    signed long long sllVal;
} nvmlValue_t;

typedef struct {
    unsigned fieldId;
    unsigned scopeId;
    long long timestamp;
    long long latencyUsec;
    unsigned valueType;
    nvmlReturn_t nvmlReturn;
    nvmlValue_t value;
} nvmlFieldValue_t;

enum {
    NVML_TEMPERATURE_GPU = 0,
    NVML_VALUE_TYPE_UNSIGNED_INT = 1,
    NVML_VALUE_TYPE_UNSIGNED_LONG_LONG = 3,
    NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION = 83,
    NVML_FI_DEV_POWER_AVERAGE = 185,
    NVML_FI_DEV_POWER_INSTANT = 186,
    NVML_POWER_SCOPE_COUNT = 4,
};

static const unsigned NVML_MEMORY_V2 = sizeof(nvmlMemory_v2_t) | 2u << 24;
static const unsigned NVML_TEMPERATURE_V1 = sizeof(nvmlTemperature_t) | 1u << 24;
static const unsigned NOT_AVAILABLE = 0xFFFFFFFF;

/* ---- the names, in the order in which the file counts their calls ---- */

#define ENTRY_POINTS(X) \
    X(nvmlInit_v2) \
    X(nvmlInitWithFlags) \
    X(nvmlShutdown) \
    X(nvmlErrorString) \
    X(nvmlSystemGetDriverVersion) \
    X(nvmlSystemGetNVMLVersion) \
    X(nvmlSystemGetCudaDriverVersion) \
    X(nvmlSystemGetCudaDriverVersion_v2) \
    X(nvmlDeviceGetCount_v2) \
    X(nvmlDeviceGetHandleByIndex_v2) \
    X(nvmlDeviceGetHandleByUUID) \
    X(nvmlDeviceGetIndex) \
    X(nvmlDeviceGetName) \
    X(nvmlDeviceGetUUID) \
    X(nvmlDeviceGetPciInfo_v3) \
    X(nvmlDeviceGetMinorNumber) \
    X(nvmlDeviceGetArchitecture) \
    X(nvmlDeviceGetTotalEnergyConsumption) \
    X(nvmlDeviceGetPowerUsage) \
    X(nvmlDeviceGetEnforcedPowerLimit) \
    X(nvmlDeviceGetPowerManagementLimitConstraints) \
    X(nvmlDeviceGetFieldValues) \
    X(nvmlDeviceGetUtilizationRates) \
    X(nvmlDeviceGetMemoryInfo) \
    X(nvmlDeviceGetMemoryInfo_v2) \
    X(nvmlDeviceGetTemperature) \
    X(nvmlDeviceGetTemperatureV) \
    X(nvmlDeviceGetComputeRunningProcesses_v3) \
    X(nvmlDeviceGetGraphicsRunningProcesses_v3) \
    X(nvmlDeviceGetProcessUtilization) \
    X(nvmlDeviceGetMigMode) \
    X(nvmlDeviceGetMaxMigDeviceCount) \
    X(nvmlDeviceGetMigDeviceHandleByIndex) \
    X(nvmlDeviceGetDeviceHandleFromMigDeviceHandle) \
    X(nvmlDeviceIsMigDeviceHandle) \
    X(nvmlDeviceGetGpuInstanceId) \
    X(nvmlDeviceGetComputeInstanceId)

#define AS_NUMBER(name) ENTRY_##name,
enum entry { ENTRY_POINTS(AS_NUMBER) ENTRY_COUNT };

#define AS_TEXT(name) #name,
EXPORT const char *const simulated_nvml_entry_points[] = {ENTRY_POINTS(AS_TEXT) NULL};

_Static_assert((int)ENTRY_COUNT <= (int)MAX_ENTRY_POINTS,
               "more entry points than the file can count");

/* ---- this process ---- */

static struct state *state; /* NULL: there is no machine */
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned references;
static uint32_t generation;
static struct nvmlDevice_st handles[MAX_DEVICES][1 + MAX_MIG];

__attribute__((constructor)) static void map_state(void)
{
    for (unsigned index = 0; index < MAX_DEVICES; index++)
        for (int slot = 0; slot <= MAX_MIG; slot++)
            handles[index][slot] = (struct nvmlDevice_st){index, slot - 1};
    const char *path = getenv("SIMULATED_NVML");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    struct stat status;
    if (fstat(fd, &status) == 0 && (size_t)status.st_size == sizeof *state) {
        void *mapped = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED && ((struct state *)mapped)->magic == MAGIC)
            state = mapped;
    }
    close(fd);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void sleep_ns(int64_t ns)
{
    if (ns <= 0)
        return;
    struct timespec rest = {ns / NS_PER_S, ns % NS_PER_S};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        ;
}

/* The number of the state as it stands between two changes. */
static uint64_t settled(void)
{
    uint64_t sequence = __atomic_load_n(&state->sequence, __ATOMIC_SEQ_CST);
    while (sequence & 1) {
        /* The writer holds the lock. If nobody does, the writer was killed: its change is lost. */
        const char *path = getenv("SIMULATED_NVML");
        int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (fd >= 0) {
            flock(fd, LOCK_EX);
            if (__atomic_load_n(&state->sequence, __ATOMIC_SEQ_CST) & 1)
                __atomic_fetch_add(&state->sequence, 1, __ATOMIC_SEQ_CST);
            close(fd);
        }
        sequence = __atomic_load_n(&state->sequence, __ATOMIC_SEQ_CST);
        if (fd < 0)
            break; /* the file was removed, so nobody writes any more */
    }
    return sequence;
}

/* One state of the machine, and a time for which it is final: later steps begin after it. */
struct look {
    uint64_t sequence;
    int64_t now_ns;
    bool begun;
};

static bool look_again(struct look *look)
{
    uint64_t sequence = settled();
    if (look->begun && sequence == look->sequence)
        return false;
    *look = (struct look){sequence, clock_ns(CLOCK_MONOTONIC), true};
    return true;
}

/* What follows is repeated until nobody has written meanwhile. */
#define CONSISTENTLY(look) for (struct look look = {0}; look_again(&(look));)

/* ---- the truth ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t high_ns(const struct step *step, int64_t position_ns)
{
    int64_t rest_ns = position_ns % step->period_ns;
    return position_ns / step->period_ns * step->high_ns +
           (rest_ns < step->high_ns ? rest_ns : step->high_ns);
}

/* The step that rules a time; before the start it is the first one. */
static const struct step *step_at(const struct rail *rail, int64_t t_ns)
{
    int64_t low = 0;
    int64_t high = __atomic_load_n(&rail->step_count, __ATOMIC_ACQUIRE);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (rail->steps[middle].t_ns <= t_ns)
            low = middle;
        else
            high = middle;
    }
    return &rail->steps[low];
}

static femtojoules energy_fj(const struct rail *rail, int64_t t_ns)
{
    const struct step *step = step_at(rail, t_ns);
    int64_t ns = t_ns - step->t_ns;
    femtojoules energy = (femtojoules)step->base_mj * FJ_PER_MJ + step->base_rest_fj;
    energy += (femtojoules)step->low_uw * ns;
    if (step->period_ns > 0) {
        int64_t high = high_ns(step, step->phase_ns + ns) - high_ns(step, step->phase_ns);
        energy += (femtojoules)(step->high_uw - step->low_uw) * high;
    }
    return energy;
}

/* splitmix64: the same in gpu.py. */
static uint64_t scramble(uint64_t number)
{
    number += 0x9E3779B97F4A7C15;
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
    number = (number ^ number >> 27) * 0x94D049BB133111EB;
    return number ^ number >> 31;
}

static int64_t tick_ns(unsigned index, int64_t number)
{
    const struct device *device = &state->devices[index];
    int64_t t_ns = device->tick_origin_ns + number * device->tick_ns;
    if (device->jitter_ns > 0) {
        uint64_t random = scramble((uint64_t)number ^ (uint64_t)index << 48);
        t_ns += (int64_t)(random % (uint64_t)(2 * device->jitter_ns + 1)) - device->jitter_ns;
    }
    return t_ns;
}

/* The last tick at or before a time. A jitter is less than half a tick, so the order stands. */
static int64_t last_tick_ns(unsigned index, int64_t t_ns)
{
    const struct device *device = &state->devices[index];
    int64_t number = floor_div(t_ns - device->tick_origin_ns, device->tick_ns) + 1;
    while (tick_ns(index, number) > t_ns)
        number--;
    return tick_ns(index, number);
}

static uint64_t counter_mj(unsigned index, enum rail_number which, int64_t t_ns)
{
    const struct device *device = &state->devices[index];
    const struct rail *rail = &device->rails[which];
    int64_t origin_ns = state->start_ns, origin_mj = rail->start_mj, stopped_ns = -1;
    for (int64_t i = 0; i < device->event_count && device->events[i].t_ns <= t_ns; i++) {
        const struct event *event = &device->events[i];
        if (event->kind == RESET) {
            origin_ns = event->t_ns;
            origin_mj = 0;
        } else if (event->kind == GO) {
            stopped_ns = -1;
        } else if (stopped_ns < 0) {
            stopped_ns = event->t_ns;
        }
    }
    int64_t shown_ns = last_tick_ns(index, stopped_ns < 0 ? t_ns : stopped_ns);
    if (shown_ns <= origin_ns)
        return (uint64_t)origin_mj;
    femtojoules drawn = energy_fj(rail, shown_ns) - energy_fj(rail, origin_ns);
    return (uint64_t)(origin_mj + (int64_t)(drawn / FJ_PER_MJ));
}

/* The mean of a window before the last update, in mW. */
static unsigned power_mw(const struct device *device, enum rail_number which, int64_t window_ns,
                         int64_t t_ns)
{
    int64_t updates = floor_div(t_ns - device->update_origin_ns, device->update_ns);
    int64_t end_ns = device->update_origin_ns + updates * device->update_ns;
    const struct rail *rail = &device->rails[which];
    femtojoules drawn = energy_fj(rail, end_ns) - energy_fj(rail, end_ns - window_ns);
    return (unsigned)(drawn / window_ns / 1000);
}

/* For the tests: what the library believes of any time. */
EXPORT int64_t simulated_nvml_last_tick_ns(unsigned index, int64_t t_ns)
{
    return last_tick_ns(index, t_ns);
}

EXPORT uint64_t simulated_nvml_counter_mj(unsigned index, unsigned rail, int64_t t_ns)
{
    return counter_mj(index, (enum rail_number)rail, t_ns);
}

EXPORT unsigned simulated_nvml_power_mw(unsigned index, unsigned rail, int64_t window_ns,
                                        int64_t t_ns)
{
    return power_mw(&state->devices[index], (enum rail_number)rail, window_ns, t_ns);
}

/* ---- what every call does first ---- */

static void count_call(enum entry entry)
{
    if (state != NULL)
        __atomic_fetch_add(&state->calls[entry], 1, __ATOMIC_RELAXED);
}

static nvmlReturn_t enter(enum entry entry)
{
    count_call(entry);
    if (__atomic_load_n(&references, __ATOMIC_SEQ_CST) == 0)
        return NVML_ERROR_UNINITIALIZED;
    sleep_ns(state->slow_ns);
    if (!state->driver_loaded)
        return NVML_ERROR_UNKNOWN;
    if (state->driver_generation != __atomic_load_n(&generation, __ATOMIC_SEQ_CST))
        return NVML_ERROR_UNINITIALIZED;
    return NVML_SUCCESS;
}

static bool is_handle(nvmlDevice_t handle)
{
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)handles;
    if (handle == NULL || offset >= sizeof handles || offset % sizeof *handle != 0)
        return false;
    const struct device *device = &state->devices[handle->index];
    return handle->index < state->device_count &&
           (handle->mig < 0 || (unsigned)handle->mig < device->mig_instances);
}

/* Whether a device answers at all. */
static nvmlReturn_t reach(unsigned index)
{
    const struct device *device = &state->devices[index];
    sleep_ns(device->slow_ns);
    if (device->lost)
        return NVML_ERROR_GPU_IS_LOST;
    return device->denied ? NVML_ERROR_NO_PERMISSION : NVML_SUCCESS;
}

static nvmlReturn_t enter_device(enum entry entry, nvmlDevice_t handle, const void *result)
{
    nvmlReturn_t refused = enter(entry);
    if (refused != NVML_SUCCESS)
        return refused;
    if (!is_handle(handle) || result == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    return reach(handle->index);
}

/* As above, for what exists only for a whole device. */
static nvmlReturn_t enter_whole(enum entry entry, nvmlDevice_t handle, const void *result)
{
    nvmlReturn_t refused = enter_device(entry, handle, result);
    if (refused == NVML_SUCCESS && handle->mig >= 0)
        return NVML_ERROR_NOT_SUPPORTED;
    return refused;
}

#define ENTER(name) \
    do { \
        nvmlReturn_t refused_ = enter(ENTRY_##name); \
        if (refused_ != NVML_SUCCESS) \
            return refused_; \
    } while (0)

#define ENTER_DEVICE(name, handle, result) \
    do { \
        nvmlReturn_t refused_ = enter_device(ENTRY_##name, handle, result); \
        if (refused_ != NVML_SUCCESS) \
            return refused_; \
    } while (0)

#define ENTER_WHOLE(name, handle, result) \
    do { \
        nvmlReturn_t refused_ = enter_whole(ENTRY_##name, handle, result); \
        if (refused_ != NVML_SUCCESS) \
            return refused_; \
    } while (0)

static struct device *device_of(nvmlDevice_t handle)
{
    return &state->devices[handle->index];
}

static nvmlReturn_t give_text(const char *text, char *buffer, unsigned length)
{
    if (buffer == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return NVML_SUCCESS;
}

/* ---- the library and the system ---- */

static nvmlReturn_t initialise(void)
{
    if (state == NULL)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    sleep_ns(state->slow_ns);
    if (!state->driver_loaded)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    pthread_mutex_lock(&init_lock);
    if (generation != state->driver_generation)
        references = 0; /* what was initialised belonged to a driver that is gone */
    generation = state->driver_generation;
    references++;
    pthread_mutex_unlock(&init_lock);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlInit_v2(void)
{
    count_call(ENTRY_nvmlInit_v2);
    return initialise();
}

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    count_call(ENTRY_nvmlInitWithFlags);
    return initialise();
}

EXPORT nvmlReturn_t nvmlShutdown(void)
{
    count_call(ENTRY_nvmlShutdown);
    pthread_mutex_lock(&init_lock);
    bool was_up = references > 0;
    references -= was_up;
    pthread_mutex_unlock(&init_lock);
    return was_up ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

EXPORT const char *nvmlErrorString(nvmlReturn_t result)
{
    count_call(ENTRY_nvmlErrorString);
    switch (result) {
    case NVML_SUCCESS:
        return "Success";
    case NVML_ERROR_UNINITIALIZED:
        return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED:
        return "Not Supported";
    case NVML_ERROR_NO_PERMISSION:
        return "Insufficient Permissions";
    case NVML_ERROR_NOT_FOUND:
        return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE:
        return "Insufficient Size";
    case NVML_ERROR_DRIVER_NOT_LOADED:
        return "Driver Not Loaded";
    case NVML_ERROR_GPU_IS_LOST:
        return "GPU is lost";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
        return "Argument version mismatch";
    default:
        return "Unknown Error";
    }
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    ENTER(nvmlSystemGetDriverVersion);
    return give_text(state->driver_version, version, length);
}

EXPORT nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    ENTER(nvmlSystemGetNVMLVersion);
    return give_text(state->nvml_version, version, length);
}

static nvmlReturn_t give_cuda_version(int *version)
{
    if (version == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *version = (int)state->cuda_version;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    ENTER(nvmlSystemGetCudaDriverVersion);
    return give_cuda_version(version);
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    ENTER(nvmlSystemGetCudaDriverVersion_v2);
    return give_cuda_version(version);
}

/* ---- finding devices ---- */

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
    ENTER(nvmlDeviceGetCount_v2);
    if (count == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = state->device_count;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
    ENTER(nvmlDeviceGetHandleByIndex_v2);
    if (device == NULL || index >= state->device_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t refused = reach(index);
    if (refused == NVML_SUCCESS)
        *device = &handles[index][0];
    return refused;
}

static void uuid_of(nvmlDevice_t handle, char uuid[96])
{
    const char *whole = device_of(handle)->uuid;
    /* An instance's number stands in for the first byte, so that each has a name of its own. */
    if (handle->mig < 0)
        snprintf(uuid, 96, "%s", whole);
    else
        snprintf(uuid, 96, "MIG-%02x%s", handle->mig + 1, strlen(whole) > 6 ? whole + 6 : "");
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    ENTER(nvmlDeviceGetHandleByUUID);
    if (uuid == NULL || device == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned index = 0; index < state->device_count; index++)
        for (unsigned slot = 0; slot <= state->devices[index].mig_instances; slot++) {
            char own[96];
            uuid_of(&handles[index][slot], own);
            if (strcmp(uuid, own) != 0)
                continue;
            nvmlReturn_t refused = reach(index);
            if (refused == NVML_SUCCESS)
                *device = &handles[index][slot];
            return refused;
        }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index)
{
    ENTER_DEVICE(nvmlDeviceGetIndex, device, index);
    *index = device->mig < 0 ? device->index : (unsigned)device->mig;
    return NVML_SUCCESS;
}

static uint64_t instance_bytes(const struct device *device)
{
    return device->memory_bytes / MAX_MIG;
}

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length)
{
    ENTER_DEVICE(nvmlDeviceGetName, device, name);
    const struct device *own = device_of(device);
    if (device->mig < 0)
        return give_text(own->name, name, length);
    char text[160];
    unsigned gigabytes = (unsigned)(instance_bytes(own) >> 30);
    snprintf(text, sizeof text, "%s MIG 1g.%ugb", own->name, gigabytes);
    return give_text(text, name, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length)
{
    ENTER_DEVICE(nvmlDeviceGetUUID, device, uuid);
    char own[96];
    uuid_of(device, own);
    return give_text(own, uuid, length);
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    ENTER_WHOLE(nvmlDeviceGetPciInfo_v3, device, pci);
    *pci = (nvmlPciInfo_t){.bus = 0x17 + device->index, .pciDeviceId = 0x233010DE};
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:00.0", 0u, pci->bus & 0xFF);
    snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:00.0", 0u, pci->bus & 0xFF);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *number)
{
    ENTER_WHOLE(nvmlDeviceGetMinorNumber, device, number);
    *number = device->index;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned *architecture)
{
    ENTER_DEVICE(nvmlDeviceGetArchitecture, device, architecture);
    *architecture = device_of(device)->architecture;
    return NVML_SUCCESS;
}

/* ---- energy and power ---- */

EXPORT nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device,
                                                        unsigned long long *energy)
{
    ENTER_WHOLE(nvmlDeviceGetTotalEnergyConsumption, device, energy);
    if (!device_of(device)->has_counter)
        return NVML_ERROR_NOT_SUPPORTED;
    CONSISTENTLY(look) { *energy = counter_mj(device->index, GPU, look.now_ns); }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *power)
{
    ENTER_WHOLE(nvmlDeviceGetPowerUsage, device, power);
    const struct device *own = device_of(device);
    CONSISTENTLY(look) { *power = power_mw(own, GPU, own->usage_window_ns, look.now_ns); }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned *limit)
{
    ENTER_WHOLE(nvmlDeviceGetEnforcedPowerLimit, device, limit);
    *limit = device_of(device)->limit_mw;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device,
                                                                 unsigned *low, unsigned *high)
{
    ENTER_WHOLE(nvmlDeviceGetPowerManagementLimitConstraints, device, low);
    if (high == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *low = device_of(device)->min_limit_mw;
    *high = device_of(device)->limit_mw;
    return NVML_SUCCESS;
}

static nvmlReturn_t give_power(nvmlFieldValue_t *field, unsigned index, int64_t window_ns)
{
    if (window_ns == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    const struct device *device = &state->devices[index];
    enum rail_number rail = (enum rail_number)field->scopeId;
    field->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    CONSISTENTLY(look) { field->value.uiVal = power_mw(device, rail, window_ns, look.now_ns); }
    return NVML_SUCCESS;
}

static nvmlReturn_t give_energy(nvmlFieldValue_t *field, unsigned index)
{
    if (!state->devices[index].has_counter)
        return NVML_ERROR_NOT_SUPPORTED;
    field->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    CONSISTENTLY(look)
    {
        field->value.ullVal = counter_mj(index, (enum rail_number)field->scopeId, look.now_ns);
    }
    return NVML_SUCCESS;
}

static nvmlReturn_t give_field(nvmlFieldValue_t *field, nvmlDevice_t handle)
{
    const struct device *device = device_of(handle);
    if (field->scopeId >= NVML_POWER_SCOPE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (handle->mig >= 0 || field->scopeId > (device->has_module ? MODULE : GPU))
        return NVML_ERROR_NOT_SUPPORTED;
    switch (field->fieldId) {
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION:
        return give_energy(field, handle->index);
    case NVML_FI_DEV_POWER_AVERAGE:
        return give_power(field, handle->index, device->average_window_ns);
    case NVML_FI_DEV_POWER_INSTANT:
        return give_power(field, handle->index, device->instant_window_ns);
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count,
                                             nvmlFieldValue_t *values)
{
    ENTER_DEVICE(nvmlDeviceGetFieldValues, device, values);
    if (count < 1)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < count; i++) {
        int64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
        values[i].value.ullVal = 0;
        values[i].nvmlReturn = give_field(&values[i], device);
        values[i].timestamp = clock_ns(CLOCK_REALTIME) / 1000;
        values[i].latencyUsec = (clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1000;
    }
    return NVML_SUCCESS;
}

/* ---- load, memory, temperature ---- */

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates)
{
    ENTER_WHOLE(nvmlDeviceGetUtilizationRates, device, rates);
    const struct device *own = device_of(device);
    if (own->mig_enabled)
        return NVML_ERROR_NOT_SUPPORTED;
    CONSISTENTLY(look) { *rates = (nvmlUtilization_t){own->gpu_percent, own->memory_percent}; }
    return NVML_SUCCESS;
}

static nvmlMemory_v2_t memory_of(nvmlDevice_t handle)
{
    const struct device *device = device_of(handle);
    nvmlMemory_v2_t memory = {.version = NVML_MEMORY_V2};
    if (handle->mig < 0) {
        memory.total = device->memory_bytes;
        memory.reserved = device->memory_reserved_bytes;
        memory.used = device->memory_used_bytes;
    } else {
        memory.total = instance_bytes(device);
        for (unsigned i = 0; i < device->process_count; i++)
            if (device->processes[i].mig == handle->mig)
                memory.used += device->processes[i].memory_bytes;
    }
    uint64_t taken = memory.reserved + memory.used;
    memory.free = taken < memory.total ? memory.total - taken : 0;
    return memory;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    ENTER_DEVICE(nvmlDeviceGetMemoryInfo, device, memory);
    nvmlMemory_v2_t own = {0};
    CONSISTENTLY(look) { own = memory_of(device); }
    /* The first version knows no reserved memory and counts it as used. */
    *memory = (nvmlMemory_t){own.total, own.free, own.used + own.reserved};
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    ENTER_DEVICE(nvmlDeviceGetMemoryInfo_v2, device, memory);
    if (memory->version != NVML_MEMORY_V2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    CONSISTENTLY(look) { *memory = memory_of(device); }
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor,
                                             unsigned *temperature)
{
    ENTER_WHOLE(nvmlDeviceGetTemperature, device, temperature);
    if (sensor != NVML_TEMPERATURE_GPU)
        return NVML_ERROR_INVALID_ARGUMENT;
    *temperature = device_of(device)->temperature_c;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature)
{
    ENTER_WHOLE(nvmlDeviceGetTemperatureV, device, temperature);
    if (temperature->version != NVML_TEMPERATURE_V1)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (temperature->sensorType != NVML_TEMPERATURE_GPU)
        return NVML_ERROR_INVALID_ARGUMENT;
    temperature->temperature = (int)device_of(device)->temperature_c;
    return NVML_SUCCESS;
}

/* ---- processes ---- */

static nvmlProcessInfo_t info_of(const struct process *process)
{
    nvmlProcessInfo_t info = {process->pid, process->memory_bytes, NOT_AVAILABLE, NOT_AVAILABLE};
    if (process->mig >= 0) {
        info.gpuInstanceId = FIRST_GPU_INSTANCE + (unsigned)process->mig;
        info.computeInstanceId = 0;
    }
    return info;
}

/* How many processes a handle shows; the first `room` of them are written to `infos`. */
static unsigned list_processes(nvmlDevice_t handle, bool graphics, nvmlProcessInfo_t *infos,
                               unsigned room)
{
    const struct device *device = device_of(handle);
    unsigned found = 0;
    for (unsigned i = 0; i < device->process_count && !device->hidden; i++) {
        const struct process *process = &device->processes[i];
        if ((process->graphics != 0) != graphics)
            continue;
        if (handle->mig >= 0 && process->mig != handle->mig)
            continue;
        if (infos != NULL && found < room)
            infos[found] = info_of(process);
        found++;
    }
    return found;
}

static nvmlReturn_t give_processes(nvmlDevice_t handle, bool graphics, unsigned *count,
                                   nvmlProcessInfo_t *infos)
{
    const struct device *device = device_of(handle);
    if (device->mig_enabled && device->mig_denied && handle->mig < 0)
        return NVML_ERROR_NO_PERMISSION;
    unsigned room = *count, found = 0;
    if (infos == NULL && room > 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    CONSISTENTLY(look) { found = list_processes(handle, graphics, infos, room); }
    *count = found;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
                                                            nvmlProcessInfo_t *infos)
{
    ENTER_DEVICE(nvmlDeviceGetComputeRunningProcesses_v3, device, count);
    return give_processes(device, false, count, infos);
}

EXPORT nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
                                                             nvmlProcessInfo_t *infos)
{
    ENTER_DEVICE(nvmlDeviceGetGraphicsRunningProcesses_v3, device, count);
    return give_processes(device, true, count, infos);
}

/* One sample for each busy process: the last, if it is newer than what was seen. */
static unsigned list_samples(const struct device *device, unsigned long long seen_us,
                             nvmlProcessUtilizationSample_t *samples, unsigned room)
{
    int64_t now_us = clock_ns(CLOCK_REALTIME) / 1000;
    unsigned found = 0;
    for (unsigned i = 0; i < device->process_count && !device->hidden; i++) {
        const struct process *process = &device->processes[i];
        int64_t age_us = now_us - process->since_us;
        int64_t sample_us = now_us - (age_us > 0 ? age_us % SAMPLE_US : 0);
        if (process->utilisation_percent == 0 || (unsigned long long)sample_us <= seen_us)
            continue;
        if (samples != NULL && found < room)
            samples[found] = (nvmlProcessUtilizationSample_t){
                .pid = process->pid,
                .timeStamp = (unsigned long long)sample_us,
                .smUtil = process->utilisation_percent,
            };
        found++;
    }
    return found;
}

EXPORT nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
                                                    nvmlProcessUtilizationSample_t *samples,
                                                    unsigned *count, unsigned long long seen_us)
{
    ENTER_WHOLE(nvmlDeviceGetProcessUtilization, device, count);
    const struct device *own = device_of(device);
    if (own->mig_enabled)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned room = samples != NULL ? *count : 0, found = 0;
    CONSISTENTLY(look) { found = list_samples(own, seen_us, samples, room); }
    *count = found;
    if (found == 0)
        return NVML_ERROR_NOT_FOUND;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

/* ---- instances ---- */

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    ENTER_WHOLE(nvmlDeviceGetMigMode, device, current);
    if (pending == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (device_of(device)->mig_capacity == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    *current = *pending = device_of(device)->mig_enabled;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count)
{
    ENTER_WHOLE(nvmlDeviceGetMaxMigDeviceCount, device, count);
    const struct device *own = device_of(device);
    *count = own->mig_enabled ? own->mig_capacity : 0;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index,
                                                        nvmlDevice_t *instance)
{
    ENTER_WHOLE(nvmlDeviceGetMigDeviceHandleByIndex, device, instance);
    const struct device *own = device_of(device);
    if (own->mig_capacity == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    if (index >= own->mig_capacity)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (index >= own->mig_instances)
        return NVML_ERROR_NOT_FOUND;
    *instance = &handles[device->index][1 + index];
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t instance,
                                                                 nvmlDevice_t *device)
{
    ENTER_DEVICE(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, instance, device);
    if (instance->mig < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = &handles[instance->index][0];
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is_instance)
{
    ENTER_DEVICE(nvmlDeviceIsMigDeviceHandle, device, is_instance);
    *is_instance = device->mig >= 0;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *number)
{
    ENTER_DEVICE(nvmlDeviceGetGpuInstanceId, device, number);
    if (device->mig < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    *number = FIRST_GPU_INSTANCE + (unsigned)device->mig;
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned *number)
{
    ENTER_DEVICE(nvmlDeviceGetComputeInstanceId, device, number);
    if (device->mig < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    *number = 0;
    return NVML_SUCCESS;
}

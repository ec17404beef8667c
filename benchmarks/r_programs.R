# Times one program of R on one case: each repetition perturbs a column.
#   Rscript r_programs.R PROGRAM FORMULA COLUMN DATA.csv REPEATS SEED OUT.json FAMILY
arguments <- commandArgs(trailingOnly = TRUE)
program <- arguments[1]
response <- arguments[3]
repeats <- as.integer(arguments[5])
model <- as.formula(arguments[2])
family <- arguments[8]

# attached, for stan_lmer looks for stan_glmer on the search path
suppressPackageStartupMessages(library(program, character.only = TRUE))

read <- function(path) {
  if (requireNamespace("data.table", quietly = TRUE)) {
    as.data.frame(data.table::fread(path))
  } else {
    read.csv(path)
  }
}
data <- read(arguments[4])
original <- data[[response]]

fit_lme4 <- function() {
  switch(family,
         gaussian = lme4::lmer(model, data = data),
         poisson = lme4::glmer(model, data = data, family = poisson),
         negbinomial = lme4::glmer.nb(model, data = data),
         stop("lme4 has no family ", family))
}
fit_glmmTMB <- function() {
  families <- list(gaussian = gaussian(), poisson = poisson(),
                   negbinomial = glmmTMB::nbinom2(), beta = glmmTMB::beta_family())
  glmmTMB::glmmTMB(model, data = data, family = families[[family]])
}
iterations <- 40 # of the untimed fit, below
fit_rstanarm <- function() {
  settings <- list(model, data = data, chains = 4, iter = iterations, refresh = 0,
                   cores = parallel::detectCores())
  if (family == "gaussian") return(do.call(rstanarm::stan_lmer, settings))
  families <- list(poisson = poisson(), negbinomial = rstanarm::neg_binomial_2(),
                   beta = if (family == "beta") mgcv::betar())
  do.call(rstanarm::stan_glmer, c(settings, list(family = families[[family]])))
}

fit_brms <- function() {
  # Debian has Boost where rstan does not look
  if (!nzchar(rstan::rstan_options("boost_lib"))) rstan::rstan_options(boost_lib = "/usr/include")
  families <- list(gaussian = gaussian(), poisson = poisson(),
                   negbinomial = brms::negbinomial(), beta = brms::Beta())
  brms::brm(model, data = data, family = families[[family]], chains = 4, iter = iterations,
            refresh = 0, cores = parallel::detectCores())
}

# the smallest ESS and largest R-hat, without the log posterior and the predictive mean
judge <- function(found, is_effect) {
  list(rhat = max(found$rhat), ess = min(found$ess[!is_effect]), ess_effects = min(found$ess))
}
judge_rstanarm <- function(fit) {
  found <- as.data.frame(summary(fit))
  found <- found[!rownames(found) %in% c("mean_PPD", "log-posterior"), ]
  judge(list(rhat = found$Rhat, ess = found$n_eff), startsWith(rownames(found), "b["))
}
judge_brms <- function(fit) {
  found <- as.data.frame(posterior::summarise_draws(fit, "rhat", "ess_bulk"))
  found <- found[!found$variable %in% c("lp__", "lprior"), ]
  judge(list(rhat = found$rhat, ess = found$ess_bulk), startsWith(found$variable, "r_"))
}

one_run <- function(number) {
  set.seed(number)
  data[[response]] <<- original + 1e-6 * sd(original) * rnorm(length(original))
  fit <- list(lme4 = fit_lme4, glmmTMB = fit_glmmTMB, rstanarm = fit_rstanarm,
              brms = fit_brms)[[program]]
  seconds <- system.time(found <- suppressMessages(suppressWarnings(fit())))[["elapsed"]]
  c(list(seconds = seconds),
    switch(program, rstanarm = judge_rstanarm(found), brms = judge_brms(found)))
}

seed <- as.integer(arguments[6])
# untimed: loads the packages, which takes no more rows and iterations than these
all_data <- data
data <- data[seq_len(min(nrow(data), 20000L)), ]
original <- data[[response]]
invisible(one_run(seed - 1L))
iterations <- 2000
data <- all_data
original <- data[[response]]
runs <- lapply(seed - 1L + seq_len(repeats), one_run)
version <- as.character(packageVersion(program))
jsonlite::write_json(list(runs = runs, version = version), arguments[7],
                     auto_unbox = TRUE, digits = NA)
